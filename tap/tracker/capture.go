package tracker

import (
	"slices"
	"time"

	"syntap/tap/handshake"
	"syntap/tap/tcpdump"
	"syntap/tap/tracker/kept"
	"syntap/tap/tracker/tuple"
	"syntap/tun/packet"
)

// Observe takes the next packet of a capture. Packets other than TCP and ICMP errors about it are
// ignored. The packet stays the caller's. A capture is for one goroutine at a time.
func (t *Tracker) Observe(at time.Time, seen *tcpdump.Packet) {
	var h packet.Headers
	h.Parse(seen.Data, seen.Length)
	p := tuple.Packet{Headers: &h}
	if h.TCP {
		p.LocateCaptured(seen.Data)
	}
	t.ObserveParsed(at, &p, seen)
}

// ObserveParsed is Observe for a packet whose headers are parsed and whose flow is located.
func (t *Tracker) ObserveParsed(at time.Time, p *tuple.Packet, seen *tcpdump.Packet) {
	switch {
	case p.TCP:
		t.order++
		if !t.Concerns(p) && p.Flags&packet.FIN == 0 {
			t.recent.Add(p, seen, at, t.order)
			return
		}
		sh := t.Shard(p)
		sh.Lock()
		defer sh.Unlock()
		sh.observeLocked(p, seen, at, t.order)
	case p.Upper:
		t.observeICMP(p.Headers, seen, at)
	}
}

// observeLocked takes a segment of a capture.
func (sh *Shard) observeLocked(p *tuple.Packet, seen *tcpdump.Packet, at time.Time, order uint64) {
	sh.settleDueLocked(at)
	e := sh.FindLocked(p, at)
	if e != nil && e.isCopy(p, seen, at) {
		return
	}
	if e != nil && e.past != nil && len(e.past.former) > 0 && sh.formerLocked(e, p, seen, at, order) {
		return
	}
	var before *tracked
	if e != nil {
		before = e.hs
	}
	stray := e == nil || !e.awaits(p)
	e, _ = sh.TrackLocked(e, p, seen, at)
	switch {
	case e != nil && e.hs != nil && e.hs != before && p.Flags&packet.ACK == 0:
		sh.replayEarlyLocked(e, at, order)
	case stray && p.Flags&packet.ACK != 0:
		sh.holdEarlyLocked(e, p, seen, at, order)
	}
}

// awaits reports whether a segment with ACK may belong to a SYN that the flow has had, so that it
// is not ahead of its SYN.
func (e *Entry) awaits(p *tuple.Packet) bool {
	if p.Flags&packet.SYN == 0 {
		return e.state != StateEarly
	}
	if e.hs != nil {
		return !e.hs.fromClient(p) && e.hs.acksClient(p)
	}
	return e.outcome == handshake.Established.Code() && p.Ack == e.iss+1
}

// isCopy reports whether a segment of a handshake is captured again, on another interface or VLAN,
// before and behind a router. It counts the copy.
func (e *Entry) isCopy(p *tuple.Packet, seen *tcpdump.Packet, at time.Time) bool {
	if e.hs != nil && e.hs.isCopy(p, seen, at) {
		return true
	}
	if e.past != nil {
		for _, f := range e.past.former {
			if f.isCopy(p, seen, at) {
				return true
			}
		}
	}
	return false
}

func (h *tracked) isCopy(p *tuple.Packet, seen *tcpdump.Packet, at time.Time) bool {
	header := seen.Data[:min(p.End, len(seen.Data), handshake.MaxHeaders)]
	for i := len(h.rec.Segments) - 1; i >= 0; i-- {
		s := &h.rec.Segments[i]
		if s.FromClient == h.fromClient(p) && int(s.TCP) == p.Offset &&
			s.Packet.Length == seen.Length && at.Sub(s.Time).Abs() <= copyWindow &&
			sameButHops(s.Packet.Data, header, p.Offset) {
			count(&h.rec.Copies)
			return true
		}
	}
	return false
}

// sameButHops compares headers from the IP header on, but for the fields that routers and network
// cards change: TTL or hop limit and checksums. The TCP header begins at tcp.
func sameButHops(x, y []byte, tcp int) bool {
	if len(x) != len(y) || len(x) < packet.IPv4HeaderLen || x[0] != y[0] {
		return false
	}
	changes := []int{8, 10, 11, tcp + packet.TCPChecksum, tcp + packet.TCPChecksum + 1}
	if x[0]>>4 == 6 {
		changes = []int{7, tcp + packet.TCPChecksum, tcp + packet.TCPChecksum + 1}
	}
	from := 0
	for _, at := range changes {
		if at >= len(x) {
			break
		}
		if string(x[from:at]) != string(y[from:at]) {
			return false
		}
		from = at + 1
	}
	return string(x[from:]) == string(y[from:])
}

// holdEarlyLocked keeps a segment that may be ahead of its SYN. e is nil if the flow is not in the
// table.
func (sh *Shard) holdEarlyLocked(e *Entry, p *tuple.Packet, seen *tcpdump.Packet, at time.Time,
	order uint64,
) {
	if e == nil {
		if p.Flags&(packet.SYN|packet.RST) == 0 {
			return // the tracker remembers the last such segments of all flows
		}
		e = sh.AddLocked(p, StateEarly, at)
	}
	if e.past == nil {
		e.past = new(past)
	}
	early := slices.DeleteFunc(e.past.early, func(s kept.Segment) bool { return !s.Timely(at, order) })
	if len(early) == 0 && p.Flags&(packet.SYN|packet.RST) == 0 { // the others have waited too long
		sh.MoveLocked(e, StateNone, at)
		return
	}
	if len(early) < maxEarly {
		early = append(early, kept.Keep(p, seen, at, order))
	}
	e.past.early = early
}

// replayEarlyLocked takes the segments that were ahead of the SYN that the flow's handshake has
// begun with.
func (sh *Shard) replayEarlyLocked(e *Entry, at time.Time, order uint64) {
	early := sh.t.recent.Of(e.hash, order)
	if e.past != nil {
		early = append(early, e.past.early...)
		e.past.early = nil
	}
	slices.SortFunc(early, func(x, y kept.Segment) int { return int(x.Order) - int(y.Order) })
	h := e.hs
	for i := range early {
		s := &early[i]
		p := s.Packet()
		if e.hs == h && s.Timely(at, order) && h.belongs(p) && !e.isCopy(p, &s.Seen, s.At) {
			sh.TrackLocked(e, p, &s.Seen, s.At)
		}
	}
}

// belongs reports whether the numbers of a segment with ACK fit the SYN: it acknowledges the SYN,
// or its sender's numbers follow it closely.
func (h *tracked) belongs(p *tuple.Packet) bool {
	const near = 1 << 20 // bytes
	if h.fromClient(p) {
		return p.Flags&(packet.SYN|packet.RST) == 0 && packet.SeqWithin(h.iss, p.Seq, h.cEnd+near)
	}
	if p.Flags&(packet.SYN|packet.RST) != 0 {
		return h.acksClient(p)
	}
	return packet.SeqWithin(h.iss, p.Ack, h.cEnd+near)
}
