package tap

import (
	"encoding/binary"

	"syntap/tap/policy"
	"syntap/tap/tcpdump"
	"syntap/tun/packet"
)

// segment is a TCP segment, or another packet, on its way through the tap. It refers to the
// packet's bytes by offset only, so that a frame costs no allocation.
type segment struct {
	*packet.Headers // the packet's; if they have TCP, key and fromA are valid

	key     flowKey
	fromA   bool // the sender is the key's end a
	partial bool // the checksum field holds the sum of the pseudo-header only; set by the tap

	admission dropReason // why no attempt may begin with it; set by the tap, like the next
	local     bool       // its client is on this host

	rewrites []policy.Rewrite // what the rules have changed; set by the tap
}

// parse reads the first bytes of a packet of n bytes. The headers of s are the zero value.
func (s *segment) parse(head []byte, n int, d direction) {
	s.Parse(head, n)
	if s.TCP {
		s.setKey(head, d)
	}
}

// capture reads a captured packet. The headers of s are the zero value.
func (s *segment) capture(p *tcpdump.Packet) {
	s.parse(p.Data, p.Length, unordered)
	s.key.setVLANs(p)
}

// setKey reads the addresses in head.
func (s *segment) setKey(head []byte, d direction) {
	be := binary.BigEndian
	var src, dst address
	if s.Version == 4 {
		h := (*[packet.IPv4HeaderLen]byte)(head)
		src.lo, dst.lo = uint64(be.Uint32(h[12:])), uint64(be.Uint32(h[16:]))
	} else {
		h := (*[packet.IPv6HeaderLen]byte)(head)
		src.hi, src.lo = be.Uint64(h[8:]), be.Uint64(h[16:])
		dst.hi, dst.lo = be.Uint64(h[24:]), be.Uint64(h[32:])
	}
	ports := uint32(s.SrcPort)<<16 | uint32(s.DstPort)
	s.fromA = d == outbound || d == unordered && ordered(src, dst, ports)
	if !s.fromA {
		src, dst, ports = dst, src, ports<<16|ports>>16
	}
	k := &s.key // word by word: assigned as a whole it would be copied, at twice the cost
	k.a.hi, k.a.lo = src.hi, src.lo
	k.b.hi, k.b.lo = dst.hi, dst.lo
	k.ports, k.space = ports, uint32(s.Version)<<24
}

// name is the record's word for the segment.
func (s *segment) name() string {
	switch {
	case s.Flags&packet.RST != 0:
		return "rst"
	case s.Flags&(packet.SYN|packet.ACK) == packet.SYN|packet.ACK:
		return "synack"
	case s.Flags&packet.SYN != 0:
		return "syn"
	}
	return "ack"
}

// length is the number of sequence numbers the segment takes (RFC 9293 §3.4).
func (s *segment) length() uint32 {
	n := uint32(s.PayloadLen())
	if s.Flags&packet.SYN != 0 {
		n++
	}
	if s.Flags&packet.FIN != 0 {
		n++
	}
	return n
}

// within reports whether low < x <= high in sequence numbers (RFC 9293 §3.4).
func within(low, x, high uint32) bool {
	return x-low-1 < high-low
}
