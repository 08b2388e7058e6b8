package kept

import (
	"slices"
	"time"

	"syntap/tap/handshake"
	"syntap/tap/tcpdump"
	"syntap/tap/tracker/tuple"
	"syntap/tun/packet"
)

// Bounds of the order in which a capture may have segments.
const (
	timeWindow  = time.Second // a segment stands ahead of its SYN by at most so much time,
	orderWindow = 1000        // or by so many segments
)

// Segment is a segment that is kept to be looked at again.
type Segment struct {
	Headers packet.Headers
	Seen    tcpdump.Packet
	At      time.Time
	Order   uint64 // number of the segment in the capture

	packet tuple.Packet // without its headers
}

// Keep copies the headers of a segment.
func Keep(p *tuple.Packet, seen *tcpdump.Packet, at time.Time, order uint64) Segment {
	s := Segment{Headers: *p.Headers, Seen: *seen, At: at, Order: order}
	// The pointer to the headers is left out: it would have the headers of each segment escape.
	s.packet = tuple.Packet{
		Flow: p.Flow, FromA: p.FromA, Changes: slices.Clone(p.Changes), Hash: p.Hash,
	}
	s.Seen.Data = slices.Clone(seen.Data[:min(p.End, len(seen.Data), handshake.MaxHeaders)])
	s.Seen.VLANs = slices.Clone(seen.VLANs)
	return s
}

// Packet returns the packet, which refers to the kept headers.
func (s *Segment) Packet() *tuple.Packet {
	s.packet.Headers = &s.Headers
	return &s.packet
}

// Timely reports whether the segment may belong to a SYN that comes at a time and place.
func (s *Segment) Timely(at time.Time, order uint64) bool {
	return at.Sub(s.At).Abs() <= timeWindow || order-s.Order <= orderWindow
}
