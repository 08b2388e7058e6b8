package clientpath

import (
	"encoding/binary"
	"net/netip"

	"syntap/tun"
	"syntap/tun/packet"
)

// TooBig is the ICMP error of a router between the link and a client that could not forward a
// packet, with the beginning of that packet.
type TooBig struct {
	packet.Headers     // of the packet
	MTU            int // of the path, at least that which a path may have

	// The ends of the packet. For an echo reply, the client's port is the identifier.
	Server, Client netip.AddrPort
}

// IsTooBig reports whether an ICMP message is such an error.
func IsTooBig(v6 bool, message []byte) bool {
	if len(message) < packet.ICMPHeaderLen {
		return false
	}
	if v6 {
		return message[0] == packet.ICMPv6PacketTooBig
	}
	return message[0] == packet.ICMPUnreachable && message[1] == packet.ICMPFragmentationNeeded
}

// ParseTooBig reads a message that is such an error. ok is false if it quotes no packet that it may
// be about.
func ParseTooBig(v6 bool, message []byte) (e TooBig, ok bool) {
	mtu, least := int(binary.BigEndian.Uint16(message[6:])), minPathMTU4
	if v6 {
		mtu, least = int(min(binary.BigEndian.Uint32(message[4:]), 1<<16)), minPathMTU6
	}
	parsed := e.parse(message[packet.ICMPHeaderLen:]) && (e.Version == 6) == v6
	if !parsed || e.Length <= mtu || v6 && mtu < least {
		return e, false
	}
	e.MTU = max(mtu, least)
	return e, true
}

// parse reads the beginning of the packet. It must hold the first 8 bytes of the transport header.
func (e *TooBig) parse(b []byte) bool {
	e.Headers.Parse(b, packet.AnyLength)
	first := e.Fragment == packet.Whole || e.Version == 6 && e.Fragment != packet.LaterFragment
	if !e.Upper || !first || e.Length > tun.MaxFrame || len(b) < e.Offset+8 {
		return false
	}
	e.Server, e.Client = e.Ends(b)
	switch {
	case e.Proto == packet.ProtoTCP, e.Proto == packet.ProtoUDP:
		return true
	case e.Proto == packet.ProtoICMP && b[e.Offset] == packet.ICMPEchoReply,
		e.Proto == packet.ProtoICMPv6 && b[e.Offset] == packet.ICMPv6EchoReply:
		ident := binary.BigEndian.Uint16(b[e.Offset+4:])
		e.Client = netip.AddrPortFrom(e.Client.Addr(), ident)
		return true
	}
	return false
}
