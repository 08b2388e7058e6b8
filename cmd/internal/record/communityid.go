package record

import (
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"net/netip"

	"syntap/tun/flow"
)

// Numbers of protocols (IANA "Assigned Internet Protocol Numbers"), and types of echoes (RFC 792,
// RFC 4443 §4).
const (
	protocolICMP, protocolTCP, protocolUDP, protocolICMPv6 = 1, 6, 17, 58

	echoRequest, echoReply   = 8, 0
	echoRequest6, echoReply6 = 128, 129
)

// AppendCommunityID appends the Community ID v1 of a flow with seed 0: a hash by which other tools
// name the same flow, whichever end they call the first (github.com/corelight/community-id-spec).
// Of echoes the first end is the client, and the types of request and reply stand for ports.
func AppendCommunityID(dst []byte, p flow.Proto, a, b netip.AddrPort) []byte {
	protocol := byte(protocolTCP)
	switch v4 := a.Addr().Is4(); {
	case p == flow.UDP:
		protocol = protocolUDP
	case p == flow.ICMP && v4:
		protocol = protocolICMP
		a, b = netip.AddrPortFrom(a.Addr(), echoRequest), netip.AddrPortFrom(b.Addr(), echoReply)
	case p == flow.ICMP:
		protocol = protocolICMPv6
		a, b = netip.AddrPortFrom(a.Addr(), echoRequest6), netip.AddrPortFrom(b.Addr(), echoReply6)
	}
	if b.Compare(a) < 0 {
		a, b = b, a
	}
	var buf [2 + 16 + 16 + 2 + 4]byte
	m := binary.BigEndian.AppendUint16(buf[:0], 0) // seed
	m = appendAddr(m, a.Addr())
	m = appendAddr(m, b.Addr())
	m = append(m, protocol, 0)
	m = binary.BigEndian.AppendUint16(m, a.Port())
	m = binary.BigEndian.AppendUint16(m, b.Port())
	sum := sha1.Sum(m)
	return base64.StdEncoding.AppendEncode(append(dst, "1:"...), sum[:])
}

// appendAddr appends the bytes of an address as they stand in a packet.
func appendAddr(dst []byte, a netip.Addr) []byte {
	if a.Is4() {
		b := a.As4()
		return append(dst, b[:]...)
	}
	b := a.As16()
	return append(dst, b[:]...)
}
