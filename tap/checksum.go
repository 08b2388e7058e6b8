package tap

import (
	"encoding/binary"

	"syntap/tun"
	"syntap/tun/packet"
)

// tcpChecksum is the offset of the checksum in a TCP header.
const tcpChecksum = 16

// verify checks the checksums of the segment in head and body, where the sender has not left the
// second one to us, and notes in off that it did: nobody behind needs to sum again.
func (s *segment) verify(head, body []byte, off *tun.Offload) bool {
	ip := &s.ip
	if ip.version == 4 && !intact(head[:head[0]&15*4]) {
		return false
	}
	if off.Flags&tun.NeedsCsum != 0 {
		s.partial = true
		return int(off.CsumStart) == ip.offset && off.CsumOffset == tcpChecksum
	}
	if off.Flags&tun.DataValid != 0 {
		return true
	}
	src, dst := ip.addresses(head)
	sum := packet.PseudoHeaderSum(protoTCP, src, dst, ip.length-ip.offset)
	sum = packet.Checksum(head[ip.offset:min(ip.length, len(head))], sum)
	if rest := ip.length - len(head); rest > 0 {
		sum = packet.Checksum(body[:rest], sum)
	}
	off.Flags |= tun.DataValid
	return sum == 0xffff
}

// intact verifies the checksum of an IPv4 header: its 16-bit words sum to 0 in ones' complement,
// which is modulo 0xffff, in whatever order of bytes and by however many at a time (RFC 1071 §2).
// This is on the path of every segment; packet.Checksum is made for long runs.
func intact(h []byte) bool {
	le, first := binary.LittleEndian, (*[20]byte)(h)
	sum := uint64(le.Uint32(first[0:])) + uint64(le.Uint32(first[4:])) + uint64(le.Uint32(first[8:])) +
		uint64(le.Uint32(first[12:])) + uint64(le.Uint32(first[16:]))
	for h = h[20:]; len(h) >= 4; h = h[4:] {
		sum += uint64(le.Uint32(h))
	}
	return sum%0xffff == 0
}

// finishChecksum does in a TCP header without payload what NeedsCsum leaves undone: the field holds
// the sum of the pseudo-header.
func finishChecksum(h []byte) {
	binary.BigEndian.PutUint16(h[tcpChecksum:], ^packet.Checksum(h, 0))
}
