package handshake

import (
	"slices"
	"time"

	"syntap/tap/tcpdump"
	"syntap/tun/packet"
)

// recent holds the last segments of a capture, of all flows without a handshake: one of them may be
// the third segment of a handshake whose SYN stands behind it in the file. The zero value is empty.
type recent struct {
	ring  []slot   // slot order%earlyOrder holds the segment order, if there is one
	heads []uint64 // the last segment of each flow, by hash
}

// slot is a segment, without references to memory of others.
type slot struct {
	hash     uint64
	order    uint64 // 0: the slot is empty
	before   uint64 // the segment before of a flow with the same head; 0: none
	headers  packet.Headers
	flow     FlowKey
	fromA    bool
	at       time.Time
	length   int // on the wire
	ether    uint16
	vlans    []uint16
	prefix   [2]string
	captured int
	data     [128]byte
}

const recentHeads = 2048

// add takes a segment with neither SYN nor RST. One with very long headers is left out.
func (r *recent) add(p *Packet, seen *tcpdump.Packet, at time.Time, order uint64) {
	const room = len(slot{}.data)
	header := seen.Data[:min(p.End, len(seen.Data))]
	if p.Flags&packet.ACK == 0 || len(header) > room {
		return
	}
	if r.ring == nil {
		r.ring, r.heads = make([]slot, earlyOrder), make([]uint64, recentHeads)
	}
	s, head := &r.ring[order%earlyOrder], &r.heads[p.hash%recentHeads]
	s.hash, s.order, s.before = p.hash, order, *head
	s.headers, s.flow, s.fromA = *p.Headers, p.Flow, p.FromA
	s.at, s.length, s.ether, s.prefix = at, seen.Length, seen.EtherType, seen.Prefix
	s.vlans = append(s.vlans[:0], seen.VLANs...)
	s.captured = copy(s.data[:], header)
	*head = order
}

// of returns the segments of a flow, the newest first.
func (r *recent) of(hash, now uint64) (found []held) {
	if r.ring == nil {
		return nil
	}
	for at := r.heads[hash%recentHeads]; at != 0 && now-at < earlyOrder; {
		s := &r.ring[at%earlyOrder]
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

func (s *slot) hold() held {
	return held{
		headers: s.headers,
		packet:  Packet{Flow: s.flow, FromA: s.fromA, hash: s.hash},
		seen: tcpdump.Packet{
			Data: slices.Clone(s.data[:s.captured]), Length: s.length, EtherType: s.ether,
			VLANs: slices.Clone(s.vlans), Prefix: s.prefix,
		},
		at: s.at, order: s.order,
	}
}
