package web

import (
	"sync"

	"syntap/cmd/internal/format"
	"syntap/cmd/internal/record"
	"syntap/tap/handshake"
)

// records keeps the last records of the router, and how many there have been.
type records struct {
	all        ring
	handshakes ring

	mu              sync.Mutex // of those who add; guards the two below, and keeps the rings in order
	datagrams, ends uint64
	positions       record.Numbering // numbers in all
	numbers         record.Numbering // numbers among the openings of a type
}

func newRecords() *records {
	return &records{all: newRing(recentRecords), handshakes: newRing(recentHandshakes)}
}

// addOpening adds a handshake or a datagram and returns its number among all.
func (r *records) addOpening(e *entry, o *record.Opening) (position uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.of == format.Handshake {
		e.seq = r.handshakes.last + 1
		r.handshakes.add(e)
	} else {
		r.datagrams++
		e.seq = r.datagrams
	}
	position = r.all.add(e)
	o.Number(&r.positions, position)
	o.Number(&r.numbers, e.seq)
	return position
}

// addEnd adds a flow whose opening has a number among all and one of its type; 0 = unknown.
func (r *records) addEnd(e *entry, position, number uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ends++
	e.seq, e.opening, e.openingAt = r.ends, number, position
	if opening := r.all.at(position); opening != nil {
		opening.end.Store(e)
	}
	r.all.add(e)
}

// openingOf returns the opening of a flow; nil where it is not kept.
func (r *records) openingOf(e *entry) *entry { return r.all.at(e.openingAt) }

// Record takes a handshake, for tap.Options.OnRecord. It never blocks, nor do those below. Records
// must not be changed any more.
func (s *Server) Record(r *record.Attributed) {
	if r.Outcome == handshake.Established && r.SYNACKDelay >= 0 && r.ACKDelay >= 0 {
		s.handshakes.Observe((r.SYNACKDelay + r.ACKDelay).Seconds())
	}
	if u := r.Upstream; u != nil && u.Error == "" && r.Outcome != handshake.Denied {
		s.dials.Observe(u.DialTime.Seconds())
	}
	s.records.addOpening(&entry{of: format.Handshake, handshake: r}, r.Opening)
}

// Datagram takes the beginning of a flow without a handshake, before its end.
func (s *Server) Datagram(d *record.AttributedDatagram) {
	s.records.addOpening(&entry{of: format.Datagram, datagram: d}, d.Opening)
}

// Flow takes the end of a connection or flow.
func (s *Server) Flow(f *record.AttributedFlow) {
	o := record.OpeningOf(&f.Flow)
	s.records.addEnd(&entry{of: format.Flow, flow: f, proto: f.Proto()}, o.Seq(&s.records.positions), o.Seq(&s.records.numbers))
}
