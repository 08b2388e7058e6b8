package packet

import (
	"encoding/binary"
	"net/netip"
)

// DefaultHopLimit is the hop limit or time to live of packets that the router makes itself, as
// Linux's.
const DefaultHopLimit = 64

// IP describes an IP header without options. Both addresses are of one family.
type IP struct {
	Src, Dst netip.Addr
	Proto    uint8
	TOS      uint8 // DSCP and ECN (RFC 2474 §3, RFC 3168 §5); the traffic class of IPv6
	HopLimit uint8
	DF       bool   // of IPv4
	ID       uint16 // of IPv4
}

// HeaderLen returns the length of an IP header without options between addresses of a's family.
func HeaderLen(a netip.Addr) int {
	if a.Is4() {
		return IPv4HeaderLen
	}
	return IPv6HeaderLen
}

// Put writes the header to the beginning of packet, which is as long as the header is to say.
func (ip *IP) Put(packet []byte) {
	be := binary.BigEndian
	if ip.Dst.Is6() {
		b := (*[IPv6HeaderLen]byte)(packet)
		src, dst := ip.Src.As16(), ip.Dst.As16()
		be.PutUint32(b[:], 6<<28|uint32(ip.TOS)<<20)
		be.PutUint16(b[4:], uint16(len(packet)-IPv6HeaderLen))
		b[6], b[7] = ip.Proto, ip.HopLimit
		copy(b[8:], src[:])
		copy(b[24:], dst[:])
		return
	}
	b := (*[IPv4HeaderLen]byte)(packet)
	src, dst := ip.Src.As4(), ip.Dst.As4()
	b[0], b[1] = 0x45, ip.TOS
	be.PutUint16(b[2:], uint16(len(packet)))
	be.PutUint16(b[4:], ip.ID)
	b[6], b[7] = 0, 0
	if ip.DF {
		b[6] = 0x40
	}
	b[8], b[9], b[10], b[11] = ip.HopLimit, ip.Proto, 0, 0
	copy(b[12:], src[:])
	copy(b[16:], dst[:])
	be.PutUint16(b[10:], ^Checksum(b[:], 0))
}
