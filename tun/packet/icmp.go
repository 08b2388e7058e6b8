package packet

import (
	"encoding/binary"
	"net/netip"
)

// ICMPErrorOf returns type and code of an ICMP error, and the beginning of the packet that it is
// about, as far as head holds them. ok is false for all other packets.
func (h *Headers) ICMPErrorOf(head []byte) (typ, code uint8, quote []byte, ok bool) {
	if !h.Upper || len(head) < h.Offset+ICMPHeaderLen {
		return 0, 0, nil, false
	}
	typ, code, quote = head[h.Offset], head[h.Offset+1], head[h.Offset+ICMPHeaderLen:]
	switch h.Proto {
	case ProtoICMP:
		switch typ {
		case ICMPUnreachable, ICMPSourceQuench, ICMPRedirect, ICMPTimeExceeded, ICMPParameterProblem:
			ok = true
		}
	case ProtoICMPv6:
		ok = typ < ICMPv6EchoRequest
	}
	return typ, code, quote, ok
}

// The longest ICMP error messages in bytes, IP header included: every host takes them (RFC 1812
// §4.3.2.3, RFC 4443 §2.4 (c)).
const (
	MaxICMPError   = 576
	MaxICMPv6Error = 1280
)

// ICMPError returns the ICMP error that a router with the address from sends to the source of a
// packet. Type and code are of the packet's family, as from is; rest is what stands behind the
// checksum, such as an MTU (RFC 792, RFC 1191 §4, RFC 4443 §3). It quotes as much of the packet as
// head holds and an error may. h are the packet's headers.
func ICMPError(h *Headers, head []byte, from netip.Addr, typ, code uint8, rest uint32) []byte {
	return RelayedICMPError(h, head, from, Marks{HopLimit: DefaultHopLimit}, typ, code, rest)
}

// RelayedICMPError is [ICMPError] for an error of another router, whose packet had the given hop
// limit and TOS.
func RelayedICMPError(
	h *Headers, head []byte, from netip.Addr, as Marks, typ, code uint8, rest uint32,
) []byte {
	proto, longest, ipLen := uint8(ProtoICMP), MaxICMPError, IPv4HeaderLen
	if h.Version == 6 {
		proto, longest, ipLen = ProtoICMPv6, MaxICMPv6Error, IPv6HeaderLen
	}
	quote := head[:min(h.Length, len(head), longest-ipLen-ICMPHeaderLen)]
	b := make([]byte, ipLen+ICMPHeaderLen+len(quote))
	ip := IP{
		Src: from, Dst: h.Src(head), Proto: proto, TOS: as.TOS, HopLimit: as.HopLimit, DF: true,
	}
	ip.Put(b)
	message := b[ipLen:]
	message[0], message[1] = typ, code
	binary.BigEndian.PutUint32(message[4:], rest)
	copy(message[ICMPHeaderLen:], quote)
	binary.BigEndian.PutUint16(message[2:], TransportChecksum(proto, ip.Src, ip.Dst, message))
	return b
}
