package kept

import (
	"slices"
	"time"

	"syntap/tap/tcpdump"
	"syntap/tap/tracker/tuple"
	"syntap/tun/packet"
)

// Recent holds the last bare ACKs of a capture, of all flows without a handshake: one of them may
// be the third segment of a handshake whose SYN stands behind it in the file. The zero value is
// empty.
type Recent struct {
	ring  []slot   // slot order%orderWindow holds the segment order, if there is one
	heads []uint64 // the last segment of each flow, by hash
}

// slot is a segment: as much as it takes to parse it again.
type slot struct {
	hash     uint64
	order    uint64 // 0: the slot is empty
	before   uint64 // the segment before of a flow with the same head; 0: none
	at       time.Time
	length   int // on the wire
	ether    uint16
	captured uint8
	data     [128]byte
	link     *link // nil for most
}

// link is the part of a segment that the link layer has.
type link struct {
	vlans  []uint16
	prefix [2]string
}

const recentHeads = 2048

// Add takes a segment with neither SYN nor RST. One with very long headers is left out, as are
// those with data: they come again, or others follow.
func (r *Recent) Add(p *tuple.Packet, seen *tcpdump.Packet, at time.Time, order uint64) {
	const room = len(slot{}.data)
	if p.Flags&packet.ACK == 0 || p.End < p.Length || p.End > room {
		return
	}
	if r.ring == nil {
		r.ring, r.heads = make([]slot, orderWindow), make([]uint64, recentHeads)
	}
	s, head := &r.ring[order%orderWindow], &r.heads[p.Hash%recentHeads]
	s.hash, s.order, s.before = p.Hash, order, *head
	s.at, s.length, s.ether = at, seen.Length, seen.EtherType
	s.captured = uint8(copy(s.data[:], seen.Data[:min(p.End, len(seen.Data))]))
	if s.link != nil {
		s.link = nil
	}
	if len(seen.VLANs)+len(seen.Prefix[0])+len(seen.Prefix[1]) > 0 {
		s.link = &link{slices.Clone(seen.VLANs), seen.Prefix}
	}
	*head = order
}

// Of returns the segments of a flow, the newest first.
func (r *Recent) Of(hash, now uint64) (found []Segment) {
	if r.ring == nil {
		return nil
	}
	for at := r.heads[hash%recentHeads]; at != 0 && now-at < orderWindow; {
		s := &r.ring[at%orderWindow]
		if s.order != at {
			break
		}
		if s.hash == hash {
			found = append(found, s.hold())
		}
		at = s.before
	}
	return found
}

func (s *slot) hold() Segment {
	seen := tcpdump.Packet{
		Data: slices.Clone(s.data[:s.captured]), Length: s.length, EtherType: s.ether,
	}
	if s.link != nil {
		seen.VLANs, seen.Prefix = s.link.vlans, s.link.prefix
	}
	k := Segment{Seen: seen, At: s.at, Order: s.order}
	k.Headers.Parse(seen.Data, seen.Length)
	k.packet.Headers = &k.Headers
	k.packet.LocateCaptured(seen.Data)
	k.packet.Headers, k.packet.Hash = nil, s.hash
	return k
}
