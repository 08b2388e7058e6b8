package tap

import (
	"encoding/binary"

	"syntap/tap/policy"
)

// Control bits (RFC 9293 §3.1).
const (
	fin = 1 << iota
	syn
	rst
	psh
	ack
	urg
	ece
	cwr
)

// segment is what the tap needs to know of one TCP segment. It refers to the packet's bytes by
// offset only, so that parsing a frame allocates nothing.
type segment struct {
	ip  ipHeader
	tcp bool // a TCP header follows: the fields below are valid

	key     flowKey
	fromA   bool // the sender is the key's end a
	flags   uint8
	seq     uint32
	ack     uint32
	window  uint16
	payload int  // bytes behind the TCP header
	end     int  // offset of the payload, as the TCP header claims
	partial bool // the checksum field holds the sum of the pseudo-header only; set by the tap

	admission dropReason // why no attempt may begin with it; set by the tap, like the next
	local     bool       // its client is on this host

	rewrites []policy.Rewrite // what the rules have changed; set by the tap
}

// parse, on a zero segment, reads the headers in b, the first bytes of a packet of n bytes. A
// capture may show what no stack accepts: then tcp is set, and ip.reason says why the router must
// not have it.
func (s *segment) parse(b []byte, n int, d direction) {
	s.ip.parse(b, n)
	if !s.ip.upper || s.ip.proto != protoTCP {
		return
	}
	if s.ip.fragment {
		s.ip.refuse(dropFragment)
	}
	off, length := s.ip.offset, s.ip.length
	b = b[:min(len(b), length)]
	if len(b) < off+20 {
		if length >= off+20 { // TCP begins too late
			s.ip.refuse(dropExtensionHeaders)
		}
		s.ip.refuse(dropMalformed)
		return
	}
	h := (*[20]byte)(b[off:])
	end := off + int(h[12]>>4)*4
	if end < off+20 {
		s.ip.refuse(dropMalformed)
		return
	}
	s.tcp = true
	s.flags = h[13]
	s.seq = binary.BigEndian.Uint32(h[4:])
	s.ack = binary.BigEndian.Uint32(h[8:])
	s.window = binary.BigEndian.Uint16(h[14:])
	s.end = end
	s.payload = max(0, length-end)
	s.setKey(b, binary.BigEndian.Uint32(h[:]), d)

	switch {
	case end > length:
		s.ip.refuse(dropMalformed)
	case end > len(b):
		s.ip.refuse(dropExtensionHeaders)
	case s.flags&syn != 0 && s.flags&(fin|rst) != 0:
		s.ip.refuse(dropFlags)
	}
}

// setKey needs the addresses, and the ports as they stand in the TCP header.
func (s *segment) setKey(b []byte, ports uint32, d direction) {
	be := binary.BigEndian
	var src, dst address
	if s.ip.version == 4 {
		h := (*[20]byte)(b)
		src.lo, dst.lo = uint64(be.Uint32(h[12:])), uint64(be.Uint32(h[16:]))
	} else {
		h := (*[40]byte)(b)
		src.hi, src.lo = be.Uint64(h[8:]), be.Uint64(h[16:])
		dst.hi, dst.lo = be.Uint64(h[24:]), be.Uint64(h[32:])
	}
	s.fromA = d == outbound || d == unordered && ordered(src, dst, ports)
	if !s.fromA {
		src, dst, ports = dst, src, ports<<16|ports>>16
	}
	k := &s.key // word by word: assigned as a whole it would be copied, at twice the cost
	k.a.hi, k.a.lo = src.hi, src.lo
	k.b.hi, k.b.lo = dst.hi, dst.lo
	k.ports, k.space = ports, uint32(s.ip.version)<<24
}

// name is what the record of an attempt calls the segment.
func (s *segment) name() string {
	switch {
	case s.flags&rst != 0:
		return "rst"
	case s.flags&(syn|ack) == syn|ack:
		return "synack"
	case s.flags&syn != 0:
		return "syn"
	}
	return "ack"
}

// length is the number of sequence numbers the segment takes (RFC 9293 §3.4).
func (s *segment) length() uint32 {
	n := uint32(s.payload)
	if s.flags&syn != 0 {
		n++
	}
	if s.flags&fin != 0 {
		n++
	}
	return n
}

// within reports whether low < x <= high in sequence numbers (RFC 9293 §3.4).
func within(low, x, high uint32) bool {
	return x-low-1 < high-low
}
