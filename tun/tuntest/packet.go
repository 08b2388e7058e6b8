package tuntest

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"syntap/tun/packet"
)

// Flags of a TCP header, here too for short scripts.
const (
	FIN = packet.FIN
	SYN = packet.SYN
	RST = packet.RST
	PSH = packet.PSH
	ACK = packet.ACK
	URG = packet.URG
	ECE = packet.ECE
	CWR = packet.CWR
)

// IP holds the fields of an IP header that a test may want to choose; the zero value stands for an
// ordinary packet.
type IP struct {
	TTL      uint8  // hop limit for IPv6; 0 = 64
	TOS      uint8  // traffic class for IPv6
	ID       uint16 // IPv4 only
	DF       bool   // IPv4 only
	Fragment uint16 // IPv4 only: the More Fragments bit (0x2000) and the offset in units of 8 bytes
	Options  []byte // IPv4 only, a multiple of four bytes
}

// Packet returns an IP packet that carries payload as it is. Both addresses are of one family.
func (h IP) Packet(src, dst netip.Addr, protocol uint8, payload []byte) []byte {
	ttl := h.TTL
	if ttl == 0 {
		ttl = 64
	}
	be := binary.BigEndian
	if src.Is6() {
		b := make([]byte, 0, 40+len(payload))
		b = append(b, 0x60|h.TOS>>4, h.TOS<<4, 0, 0)
		b = be.AppendUint16(b, uint16(len(payload)))
		b = append(b, protocol, ttl)
		return slices.Concat(b, src.AsSlice(), dst.AsSlice(), payload)
	}
	headerLen := 20 + len(h.Options)
	fragment := h.Fragment
	if h.DF {
		fragment |= 0x4000
	}
	b := make([]byte, 0, headerLen+len(payload))
	b = append(b, 0x40|uint8(headerLen/4), h.TOS)
	b = be.AppendUint16(b, uint16(headerLen+len(payload)))
	b = be.AppendUint16(b, h.ID)
	b = be.AppendUint16(b, fragment)
	b = append(b, ttl, protocol, 0, 0)
	b = slices.Concat(b, src.AsSlice(), dst.AsSlice(), h.Options)
	be.PutUint16(b[10:], ^packet.Checksum(b, 0))
	return append(b, payload...)
}

// TCP describes a TCP segment.
type TCP struct {
	Src, Dst netip.AddrPort
	Seq, Ack uint32
	Flags    uint8
	Window   uint16
	Urgent   uint16
	Options  []byte // padded with end-of-list options
	Payload  []byte
	IP       IP
}

// Packet returns the segment in an IP packet.
func (s TCP) Packet() []byte {
	be := binary.BigEndian
	headerLen := 20 + (len(s.Options)+3)/4*4
	b := make([]byte, headerLen, headerLen+len(s.Payload))
	be.PutUint16(b[0:], s.Src.Port())
	be.PutUint16(b[2:], s.Dst.Port())
	be.PutUint32(b[4:], s.Seq)
	be.PutUint32(b[8:], s.Ack)
	b[12], b[13] = uint8(headerLen/4)<<4, s.Flags
	be.PutUint16(b[14:], s.Window)
	be.PutUint16(b[18:], s.Urgent)
	copy(b[20:], s.Options)
	b = append(b, s.Payload...)
	be.PutUint16(b[16:], ^transportSum(packet.ProtoTCP, s.Src.Addr(), s.Dst.Addr(), b))
	return s.IP.Packet(s.Src.Addr(), s.Dst.Addr(), packet.ProtoTCP, b)
}

// UDP describes a UDP datagram.
type UDP struct {
	Src, Dst netip.AddrPort
	Payload  []byte
	IP       IP
}

// Packet returns the datagram in an IP packet.
func (d UDP) Packet() []byte {
	be := binary.BigEndian
	b := make([]byte, 8, 8+len(d.Payload))
	be.PutUint16(b[0:], d.Src.Port())
	be.PutUint16(b[2:], d.Dst.Port())
	be.PutUint16(b[4:], uint16(8+len(d.Payload)))
	b = append(b, d.Payload...)
	sum := ^transportSum(packet.ProtoUDP, d.Src.Addr(), d.Dst.Addr(), b)
	if sum == 0 {
		sum = 0xffff // zero would mean "no checksum" (RFC 768)
	}
	be.PutUint16(b[6:], sum)
	return d.IP.Packet(d.Src.Addr(), d.Dst.Addr(), packet.ProtoUDP, b)
}

// ICMP describes an ICMP or, between IPv6 addresses, an ICMPv6 message.
type ICMP struct {
	Src, Dst   netip.Addr
	Type, Code uint8
	Rest       [4]byte // bytes 4 to 7 of the header: identifier and sequence number of an echo, MTU of a "too big"
	Payload    []byte
	IP         IP
}

// Packet returns the message in an IP packet.
func (m ICMP) Packet() []byte {
	b := slices.Concat([]byte{m.Type, m.Code, 0, 0}, m.Rest[:], m.Payload)
	protocol, sum := uint8(packet.ProtoICMP), packet.Checksum(b, 0)
	if m.Src.Is6() {
		protocol, sum = packet.ProtoICMPv6, transportSum(packet.ProtoICMPv6, m.Src, m.Dst, b)
	}
	binary.BigEndian.PutUint16(b[2:], ^sum)
	return m.IP.Packet(m.Src, m.Dst, protocol, b)
}

// transportSum is the sum of a transport message and its pseudo-header.
func transportSum(protocol uint8, src, dst netip.Addr, b []byte) uint16 {
	return packet.Checksum(b, packet.PseudoHeaderSum(protocol, src.AsSlice(), dst.AsSlice(), len(b)))
}
