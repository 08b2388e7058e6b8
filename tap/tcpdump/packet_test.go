package tcpdump

import (
	"encoding/binary"
	"slices"
)

// The packets of the tests go from port 1051 to port 7 (no application of tcpdump's), 192.0.2.1 to
// 198.51.100.1 or 2001:db8::1 to 2001:db8::2.

// tcp returns a segment with sequence number 1000, acknowledgement number 2000 and window 512.
func tcp(flags byte, options []byte, payload ...byte) []byte {
	b := []byte{1051 >> 8, 1051 & 0xff, 0, 7, 0, 0, 0x03, 0xe8, 0, 0, 0x07, 0xd0, 0, flags, 2, 0, 0, 0, 0, 0}
	b[12] = byte(5+len(options)/4) << 4
	return slices.Concat(b, options, payload)
}

// syn returns a SYN with options, whose bytes must be a multiple of four.
func syn(options ...byte) []byte { return tcp(flagSYN, options) }

// synACK and ack do the same for the other segments of an opening.
func synACK(options ...byte) []byte { return tcp(flagSYN|flagACK, options) }
func ack(options ...byte) []byte    { return tcp(flagACK, options) }

// ip4 returns an IPv4 packet, ID 99, with payload.
func ip4(proto byte, payload []byte) []byte {
	b := []byte{0x45, 0, 0, 0, 0, 99, 0, 0, 64, proto, 0, 0, 192, 0, 2, 1, 198, 51, 100, 1}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)+len(payload)))
	return append(b, payload...)
}

// ip6 returns an IPv6 packet with payload.
func ip6(next byte, payload []byte) []byte {
	b := []byte{
		0x60, 0, 0, 0, 0, 0, next, 64,
		0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
		0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2,
	}
	binary.BigEndian.PutUint16(b[4:], uint16(len(payload)))
	return append(b, payload...)
}

// with returns b with the given bytes from index at on.
func with(b []byte, at int, bytes ...byte) []byte {
	copy(b[at:], bytes)
	return b
}

// packet returns the packet of a whole capture.
func packet(b []byte) *Packet {
	p := &Packet{Data: b, Length: len(b), EtherType: etherIPv4}
	if b[0]>>4 == 6 {
		p.EtherType = etherIPv6
	}
	return p
}

// cut returns packet(b) captured without its last n bytes.
func cut(b []byte, n int) *Packet {
	p := packet(b)
	p.Data = p.Data[:len(b)-n]
	return p
}

// under returns packet(b) with another ethertype.
func under(etherType uint16, b []byte) *Packet {
	p := packet(b)
	p.EtherType = etherType
	return p
}
