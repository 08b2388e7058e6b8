package gso

import (
	"net/netip"

	"syntap/tun/packet"
)

// Run is datagrams in a row from one far end that are not yet written, all of one length but the
// last, which may be shorter. They go to the client as one GSO packet; the kernel cuts it, for less
// than the cost of one frame each.
type Run struct {
	From    netip.AddrPort // the zero value for none
	Marks   packet.Marks
	At, End int // in the caller's buffer
	Segment int // the length
}

// Takes reports whether n bytes from a far end continue a run behind which they lie: a datagram, or
// several of a length that came as one.
func (r *Run) Takes(n, segment int, from netip.AddrPort, as packet.Marks) bool {
	fits := segment == r.Segment || segment == n && n < r.Segment
	room := min(MaxPayload, r.Segment*MaxDatagrams)
	return fits && n > 0 && from == r.From && as == r.Marks && r.End+n-r.At <= room
}

// Ended reports whether no datagram can follow: the last was shorter, or empty.
func (r *Run) Ended() bool { return r.Segment == 0 || (r.End-r.At)%r.Segment != 0 }

// Several reports whether a run has more than one datagram.
func (r *Run) Several() bool { return r.End-r.At > r.Segment }

// Datagrams returns how many datagrams a run has.
func (r *Run) Datagrams() int {
	if r.Segment == 0 {
		return 1
	}
	return (r.End - r.At + r.Segment - 1) / r.Segment
}
