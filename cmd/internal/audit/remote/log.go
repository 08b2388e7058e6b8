//go:build linux

package remote

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"syntap/cmd/internal/audit"
	"syntap/cmd/internal/hint"
	"syntap/cmd/internal/record"
	"syntap/cmd/internal/record/compact"
	"syntap/cmd/internal/ring"
	"syntap/tap/handshake"
	"syntap/tun/flow"
)

// Log is a log that another process writes.
type Log struct {
	end       *ring.End
	numbering record.Numbering // of openings, by their ids
	admission admission
	records   atomic.Uint64
	lost      atomic.Uint64

	written atomic.Pointer[func(k flow.Key, serverISN uint32, opening *record.Opening)]
	sent    atomic.Pointer[func(*flow.Datagram)]
	opened  atomic.Pointer[func() int]
	counted atomic.Pointer[func() record.Frames]
	results atomic.Pointer[func(result uint8)]
	answers atomic.Pointer[asker]

	reloaded chan error // holds the answer to Reload

	mu       sync.Mutex // guards all below
	message  []byte     // scratch
	last     uint64     // id
	messages uint64     // sent
	awaited  map[uint64]awaited
	found    map[audit.Found]uint64
	missing  record.Gap // records that were lost and are not announced
	taken    uint64     // messages that the keeper had taken at the time moved
	moved    time.Time
}

// awaited is a connection or datagram that waits for its record.
type awaited struct {
	record   *record.Attributed
	datagram *flow.Datagram
}

// New returns the log that is written at the other end of a ring, which it takes over.
func New(end *ring.End) *Log {
	return &Log{
		end: end, awaited: make(map[uint64]awaited), found: make(map[audit.Found]uint64),
		reloaded: make(chan error, 1),
	}
}

// OnWritten sets the function that is called for each established connection that may pass: when
// the kernel has its record from all sinks except those that may lose records (on_full: count). The
// connection's Flow must have the same opening. f must not block.
func (l *Log) OnWritten(f func(k flow.Key, serverISN uint32, opening *record.Opening)) {
	l.written.Store(&f)
}

// OnDatagramWritten sets the function that is called for each datagram that policy allows and that
// may leave, like a connection. f must not block.
func (l *Log) OnDatagramWritten(f func(*flow.Datagram)) { l.sent.Store(&f) }

// CountFrames sets the function whose counters go into the account of the router.
func (l *Log) CountFrames(f func() record.Frames) { l.counted.Store(&f) }

// OnSearched has f called with the result of each search for the owner of a datagram whose record
// asks for it.
func (l *Log) OnSearched(f func(result uint8)) { l.results.Store(&f) }

// Record takes a handshake. It never blocks: a record for which there is no room is lost, counted
// and announced.
func (l *Log) Record(r *record.Attributed) {
	l.records.Add(1)
	item := compact.Item{Handshake: r}
	opened := awaited{record: r}
	if r.Outcome != handshake.Established {
		opened = awaited{}
	}
	l.open(&item, r.Opening, opened, handshakesGated)
}

// Datagram takes the beginning of a flow without a handshake. It never blocks either.
func (l *Log) Datagram(d *record.AttributedDatagram) {
	l.records.Add(1)
	item := compact.Item{Datagram: d}
	opened := awaited{datagram: d.Datagram}
	if d.Denied {
		opened = awaited{}
	}
	l.open(&item, d.Opening, opened, datagramsGated)
}

// open sends the record by which a connection or flow begins. One that waits for it passes at once
// where no sink takes the record, or where it is lost and holds nothing up.
func (l *Log) open(i *compact.Item, o *record.Opening, waits awaited, gate uint64) {
	sent := l.wanted() && l.send(i, o, waits)
	if waits != (awaited{}) && !sent && l.state()&gate == 0 {
		l.passed(waits)
	}
}

// Segment takes a segment. It never blocks either.
func (l *Log) Segment(_ flow.Key, s handshake.Segment) {
	if l.state()&segmentsWanted != 0 {
		seg := s // only now on the heap
		l.send(&compact.Item{Segment: &seg}, nil, awaited{})
	}
}

// Flow takes the end of a connection or flow. It never blocks either.
func (l *Log) Flow(f record.AttributedFlow) {
	l.records.Add(1)
	if !l.wanted() {
		return
	}
	l.send(&compact.Item{ID: record.OpeningOf(&f.Flow).Seq(&l.numbering), Flow: &f}, nil, awaited{})
}

// Finding takes something that the router has found out by itself. It never blocks either.
func (l *Log) Finding(f *record.Finding) {
	l.records.Add(1)
	l.mu.Lock()
	l.found[audit.Found{Kind: f.Kind, Direction: f.Direction}]++
	l.mu.Unlock()
	if !l.wanted() {
		return
	}
	l.send(&compact.Item{Finding: f}, nil, awaited{})
}

// send sends an item, and reports whether it is on its way. One that waits gets an id, which its
// opening keeps.
func (l *Log) send(i *compact.Item, o *record.Opening, waits awaited) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.missing.Lost > 0 && l.put(&compact.Item{Gap: &l.missing}) {
		l.missing = record.Gap{}
	}
	if waits == (awaited{}) {
		return l.put(i)
	}
	l.last++
	i.ID = l.last
	l.awaited[i.ID] = waits // first: the answer may be here before put returns
	o.Number(&l.numbering, i.ID)
	if l.put(i) {
		return true
	}
	delete(l.awaited, i.ID)
	o.Number(&l.numbering, 0)
	return false
}

// put sends an item, or counts its loss. mu is held.
func (l *Log) put(i *compact.Item) bool {
	var err error
	l.message, err = compact.Append(l.message[:0], i)
	send := l.end.SendLater
	if i.ID != 0 && i.Flow == nil || i.Frames != nil {
		send = l.end.Send // it is waited for
	}
	if err != nil || !send(l.message) {
		if i.Gap == nil && i.Frames == nil {
			l.lose()
		}
		return false
	}
	l.sentOne()
	return true
}

// sentOne counts a message that is on its way. mu is held.
func (l *Log) sentOne() {
	if l.messages == l.taken {
		l.moved = time.Now()
	}
	l.messages++
}

// lose counts a lost record. mu is held.
func (l *Log) lose() {
	l.lost.Add(1)
	now := time.Now()
	if l.missing.Lost == 0 {
		l.missing = record.Gap{From: now, Reason: record.QueueFull}
	}
	l.missing.To = now
	l.missing.Lost++
}

func (l *Log) passed(a awaited) {
	if d := a.datagram; d != nil {
		if f := l.sent.Load(); f != nil {
			(*f)(d)
		}
		return
	}
	if f := l.written.Load(); f != nil {
		(*f)(a.record.Key(), a.record.ServerISN, a.record.Opening)
	}
}

// take takes a message of the keeper.
func (l *Log) take(m []byte) error {
	kind, m := m[0], m[1:]
	switch {
	case kind == written && len(m)%8 == 0:
		l.areWritten(m)
	case kind == reloaded:
		var err error
		if len(m) > 0 {
			text, remedy, _ := strings.Cut(string(m), "\x00")
			err = hint.Fail(errors.New(text), remedy)
		}
		select {
		case l.reloaded <- err:
		default: // none asks
		}
	case kind == replied && l.answers.Load() != nil:
		return l.answers.Load().take(m)
	case kind == searched:
		if f := l.results.Load(); f != nil {
			for _, result := range m {
				(*f)(result)
			}
		}
	default:
		return fmt.Errorf("a message of the keeper with kind %d and %d bytes", kind, len(m))
	}
	return nil
}

func (l *Log) areWritten(ids []byte) {
	for ; len(ids) > 0; ids = ids[8:] {
		id := binary.LittleEndian.Uint64(ids)
		l.mu.Lock()
		a, ok := l.awaited[id]
		delete(l.awaited, id)
		l.mu.Unlock()
		if ok {
			l.passed(a)
		}
	}
}

// wanted reports whether a sink takes records.
func (l *Log) wanted() bool { return l.state()&recordsWanted != 0 }

func (l *Log) state() uint64 { return l.end.Posted(stateWord) }

// NamesOwners reports whether a sink says whose process a client is.
func (l *Log) NamesOwners() bool { return l.state()&ownersNamed != 0 }

// Stats are counters of the records of a router.
type Stats struct {
	audit.LogStats
	Refused uint64 // SYNs and datagrams that had to wait or were refused because records could not be written
}

// Stats returns the counters, of records also those of the keeper.
func (l *Log) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	found := maps.Clone(l.found)
	found[invalid] = l.end.Posted(invalidWord)
	return Stats{
		LogStats: audit.LogStats{
			Records: l.records.Load(), Found: found,
			Lost: map[record.GapReason]uint64{
				record.QueueFull:  l.lost.Load() + l.end.Posted(queueWord),
				record.WriteError: l.end.Posted(writeWord),
			},
		},
		Refused: l.admission.refused.Load(),
	}
}

// ErrKeeper is the error of a keeper that has ended first.
var ErrKeeper = errors.New("the process that writes the log has ended")

// Run passes on that records are written, until ctx ends, and then of the rest. It closes the log.
func (l *Log) Run(ctx context.Context) error {
	ended := make(chan error, 1)
	go func() {
		err := l.end.Receive(l.take, func() {})
		if a := l.answers.Load(); a != nil {
			a.left()
		}
		ended <- err
	}()
	var err error
	select {
	case err = <-ended:
		if errors.Is(err, io.EOF) {
			err = ErrKeeper
		}
	case <-ctx.Done():
		l.finish(ended)
	}
	return errors.Join(err, l.end.Close())
}

// patience is how long the keeper may take for the rest.
const patience = 3 * time.Second

// finish sends the last words of a run, and waits until the keeper has taken all.
func (l *Log) finish(ended <-chan error) {
	l.admission.announce(l.announce)
	l.mu.Lock()
	if l.missing.Lost > 0 {
		l.put(&compact.Item{Gap: &l.missing})
	}
	if f := l.counted.Load(); f != nil {
		frames := (*f)()
		l.put(&compact.Item{Frames: &frames})
	}
	sent := l.messages
	l.mu.Unlock()
	late := time.After(patience)
	for l.end.Posted(takenWord) < sent {
		select {
		case <-ended: //nolint:errcheck // the run is over
			return
		case <-late:
			return
		case <-time.After(time.Millisecond):
		}
	}
}
