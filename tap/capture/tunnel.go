package capture

import (
	"encoding/binary"

	"syntap/tun/packet"
)

// Tunnel is a way to carry packets in packets.
type Tunnel string

// The tunnels that Inner looks into.
const (
	GRE     Tunnel = "GRE"    // RFC 2784, RFC 2890, RFC 2637; ERSPAN
	IPIP    Tunnel = "IPIP"   // IPv4 in IPv4 (RFC 2003)
	FourIn6 Tunnel = "4in6"   // IPv4 in IPv6 (RFC 2473)
	SixIn4  Tunnel = "6in4"   // IPv6 in IPv4 (RFC 4213)
	SixIn6  Tunnel = "6in6"   // IPv6 in IPv6 (RFC 2473)
	VXLAN   Tunnel = "VXLAN"  // RFC 7348
	Geneve  Tunnel = "Geneve" // RFC 8926
)

// Protocol numbers and UDP ports of tunnels (IANA). Linux's VXLAN had a port of its own before it
// got one.
const (
	protoIPv4 = 4
	protoIPv6 = 41
	protoGRE  = 47

	portVXLAN      = 4789
	portLinuxVXLAN = 8472
	portVXLANGPE   = 4790
	portGeneve     = 6081
)

// EtherTypes in tunnels.
const (
	etherTypeBridged = 0x6558 // an Ethernet frame
	etherTypePPP     = 0x880b
	etherTypeERSPAN2 = 0x88be
	etherTypeERSPAN3 = 0x22eb
)

// Inner returns the packet that p carries in a tunnel, without its envelope. It is nil if p
// carries none, or none that can be read. It shares p's memory and is valid until p's next use.
func (p *Packet) Inner() (*Packet, Tunnel) {
	if !p.mayTunnel() {
		return nil, ""
	}
	var h packet.Headers
	b := p.Network[:min(len(p.Network), max(0, p.NetworkLength))]
	h.Parse(b, p.NetworkLength)
	if !h.Upper || h.Offset >= min(len(b), h.Length) {
		return nil, ""
	}
	c := carried{p: p, b: b[h.Offset:min(len(b), h.Length)], length: h.Length - h.Offset}
	switch h.Proto {
	case protoIPv4:
		return c.ip(choose(h.Version == 4, string(IPIP), string(FourIn6)))
	case protoIPv6:
		return c.ip(choose(h.Version == 4, string(SixIn4), string(SixIn6)))
	case protoGRE:
		return c.gre()
	case packet.ProtoUDP:
		return c.udp(h.DstPort)
	}
	return nil, ""
}

// mayTunnel reports at little cost whether the packet may carry another one.
func (p *Packet) mayTunnel() bool {
	b := p.Network
	switch {
	case len(b) > packet.IPv4HeaderLen && b[0]>>4 == 4:
		return b[9] != packet.ProtoTCP && b[9] != packet.ProtoICMP
	case len(b) > packet.IPv6HeaderLen && b[0]>>4 == 6:
		return b[6] != packet.ProtoTCP && b[6] != packet.ProtoICMPv6
	}
	return false
}

// carried is the payload of the packet p that may hold another one: its captured bytes, and its
// bytes on the wire.
type carried struct {
	p      *Packet
	b      []byte
	length int
}

// skip passes over a header of n bytes. It reports whether there are bytes behind it.
func (c *carried) skip(n int) bool {
	if len(c.b) <= n {
		return false
	}
	c.b, c.length = c.b[n:], c.length-n
	return true
}

// frame returns the bytes as a frame of a link type, if that has a network layer.
func (c *carried) frame(link LinkType, t Tunnel) (*Packet, Tunnel) {
	if c.p.inner == nil {
		c.p.inner = new(Packet)
	}
	q := c.p.inner
	q.Time, q.LinkType, q.order = c.p.Time, link, c.p.order
	q.Frame, q.FrameLength = c.b, max(c.length, len(c.b))
	if err := q.decodeLink(); err != nil || len(q.Network) == 0 {
		return nil, ""
	}
	return q, t
}

func (c *carried) ip(t string) (*Packet, Tunnel) { return c.frame(LinkTypeRaw, Tunnel(t)) }

// etherType returns the bytes as a packet of an EtherType.
func (c *carried) etherType(etherType uint16, t Tunnel) (*Packet, Tunnel) {
	switch etherType {
	case etherTypeIPv4, etherTypeIPv6:
		return c.frame(LinkTypeRaw, t)
	case etherTypeBridged:
		return c.frame(LinkTypeEthernet, t)
	case etherTypePPP:
		return c.frame(LinkTypePPP, t)
	case etherTypeMPLS, etherTypeMPLSMC:
		for len(c.b) > 4 {
			bottom := c.b[2]&1 != 0
			if c.skip(4); bottom {
				return c.frame(LinkTypeRaw, t)
			}
		}
	}
	return nil, ""
}

// gre takes a GRE header, of version 0 without source routing (RFC 2784 §2, RFC 2890 §2), or of
// version 1 (RFC 2637 §4.1). A switch's copies of frames (ERSPAN) have a header of their own behind
// it.
func (c *carried) gre() (*Packet, Tunnel) {
	const checksum, routing, key, sequence, ack, version = 0x8000, 0x4000, 0x2000, 0x1000, 0x0080, 0x0007
	if len(c.b) < 4 {
		return nil, ""
	}
	flags, etherType := binary.BigEndian.Uint16(c.b), binary.BigEndian.Uint16(c.b[2:])
	if flags&routing != 0 || flags&version > 1 {
		return nil, ""
	}
	header := 4
	for _, field := range [...]uint16{checksum, key, sequence} {
		if flags&field != 0 {
			header += 4
		}
	}
	if flags&version == 1 && flags&ack != 0 {
		header += 4
	}
	switch etherType {
	case etherTypeERSPAN2:
		if etherType = etherTypeBridged; flags&sequence != 0 { // else it is of type I
			header += 8
		}
	case etherTypeERSPAN3:
		if etherType = etherTypeBridged; len(c.b) >= header+12 && c.b[header+11]&1 != 0 {
			header += 8 // a platform's own header
		}
		header += 12
	}
	if !c.skip(header) {
		return nil, ""
	}
	return c.etherType(etherType, GRE)
}

// udp takes a UDP header, and that of a tunnel whose port is the destination.
func (c *carried) udp(port uint16) (*Packet, Tunnel) {
	if !c.skip(packet.UDPHeaderLen) || len(c.b) < 8 {
		return nil, ""
	}
	be, flags := binary.BigEndian, c.b[0]
	switch port {
	case portVXLAN, portLinuxVXLAN: // RFC 7348 §5
		if flags&0x08 == 0 || port == portLinuxVXLAN && be.Uint32(c.b) != 0x08000000 {
			break
		}
		if c.skip(8) {
			return c.frame(LinkTypeEthernet, VXLAN)
		}
	case portVXLANGPE: // draft-ietf-nvo3-vxlan-gpe §3
		next := c.b[3]
		if flags&0x0c != 0x0c || !c.skip(8) {
			break
		}
		switch next {
		case 1, 2:
			return c.frame(LinkTypeRaw, VXLAN)
		case 3:
			return c.frame(LinkTypeEthernet, VXLAN)
		}
	case portGeneve: // RFC 8926 §3.4
		etherType := be.Uint16(c.b[2:])
		if flags>>6 == 0 && c.skip(8+int(flags&0x3f)*4) {
			return c.etherType(etherType, Geneve)
		}
	}
	return nil, ""
}
