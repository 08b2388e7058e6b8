//go:build linux

package stack

import (
	"encoding/binary"
	"syscall"

	"golang.org/x/sys/unix"

	"syntap/tun"
	tunflow "syntap/tun/flow"
	"syntap/tun/packet"
)

// answer tells the client how its SYN fared, in a packet of our own making from the address that
// was dialled.
func (s *Stack) answer(syn []byte, a tunflow.Answer, errno syscall.Errno) {
	var ip ipHeader
	if !ip.parse(syn, len(syn)) {
		return
	}
	switch {
	case a == tunflow.Refused:
		s.writeInbound(tun.Offload{}, resetFor(&ip, syn))
	case a == tunflow.Denied, errno == unix.EACCES:
		s.writeICMPError(unreachableFor(&ip, syn, adminProhibited))
	case errno == unix.ENETUNREACH:
		s.writeICMPError(unreachableFor(&ip, syn, netUnreachable))
	default:
		s.writeICMPError(unreachableFor(&ip, syn, hostUnreachable))
	}
}

// writeInbound sends a packet of our own making to the client.
func (s *Stack) writeInbound(off tun.Offload, bufs ...[]byte) {
	if err := s.link.WriteFrame(off, bufs); err != nil {
		s.stats.InboundErrors.Add(1)
	}
}

// writeICMPError sends an ICMP error to a client, unless there have been too many (RFC 1812
// §4.3.2.8, RFC 4443 §2.4 (f)).
func (s *Stack) writeICMPError(b []byte) {
	if s.net.AllowICMPMessage() {
		s.writeInbound(tun.Offload{}, b)
	}
}

// resetFor returns the RST that answers a SYN to a closed port: <SEQ=0><ACK=SEG.SEQ+SEG.LEN> (RFC
// 9293 §3.10.7.1).
func resetFor(ip *ipHeader, syn []byte) []byte {
	const tcpLen = 20
	in := syn[ip.len:ip.total]
	payload := len(in) - int(in[12]>>4)*4
	reply := replyHeader(ip, syn, protoTCP, tcpLen)
	t := reply[len(reply)-tcpLen:]
	copy(t[0:2], in[2:4])
	copy(t[2:4], in[0:2])
	binary.BigEndian.PutUint32(t[8:], binary.BigEndian.Uint32(in[4:])+1+uint32(max(0, payload)))
	t[12], t[tcpFlagsAt] = tcpLen/4<<4, 0x14 // RST, ACK
	binary.BigEndian.PutUint16(t[16:], transportChecksum(reply, protoTCP, tcpLen))
	return reply
}

// reason is an ICMP destination-unreachable code, for each family (RFC 792, RFC 1812 §5.2.7.1, RFC
// 4443 §3.1).
type reason struct{ v4, v6 byte }

var (
	netUnreachable  = reason{v4: 0, v6: 0}
	hostUnreachable = reason{v4: 1, v6: 3}
	portUnreachable = reason{v4: 3, v6: 4}
	adminProhibited = reason{v4: 13, v6: 1}
)

// Types of ICMP destination unreachable.
const (
	icmp4Unreachable = 3
	icmp6Unreachable = 1
)

// Limits of an ICMP error message in bytes: what every host must take (RFC 1812 §4.3.2.3, RFC 4443
// §2.4 (c)).
const (
	icmp4ErrorMax = 576
	icmp6ErrorMax = 1280
)

// unreachableFor returns the ICMP error that answers packet in the name of its destination.
func unreachableFor(ip *ipHeader, b []byte, r reason) []byte {
	_, dst := ip.addrs(b)
	if ip.v6 {
		return icmpErrorFor(ip, b, dst, icmp6Unreachable, r.v6, 0)
	}
	return icmpErrorFor(ip, b, dst, icmp4Unreachable, r.v4, 0)
}

// icmpErrorFor returns the ICMP error that answers packet, quoting as much of it as is allowed.
// rest is what stands behind the checksum: an MTU, or nothing.
func icmpErrorFor(ip *ipHeader, b, from []byte, typ, code byte, rest uint32) []byte {
	const icmpHeader = 8
	proto, room := byte(protoICMP), icmp4ErrorMax-20-icmpHeader
	if ip.v6 {
		proto, room = protoICMPv6, icmp6ErrorMax-40-icmpHeader
	}
	quote := b[:min(ip.total, len(b), room)]
	src, _ := ip.addrs(b)
	reply := newIPPacket(ip.v6, from, src, proto, icmpHeader+len(quote))
	m := reply[len(reply)-icmpHeader-len(quote):]
	m[0], m[1] = typ, code
	binary.BigEndian.PutUint32(m[4:], rest)
	copy(m[icmpHeader:], quote)
	binary.BigEndian.PutUint16(m[2:], transportChecksum(reply, proto, len(m)))
	return reply
}

// replyTTL is the hop limit of packets of our own making, as Linux's.
const replyTTL = 64

// replyHeader returns a packet whose IP header answers packet's, with payload bytes of zeros behind
// it.
func replyHeader(ip *ipHeader, b []byte, proto byte, payload int) []byte {
	src, dst := ip.addrs(b)
	return newIPPacket(ip.v6, dst, src, proto, payload)
}

// newIPPacket returns a packet from src to dst with payload bytes of zeros behind its IP header.
func newIPPacket(v6 bool, src, dst []byte, proto byte, payload int) []byte {
	if v6 {
		b := make([]byte, 40+payload)
		putIPv6(b, src, dst, proto, payload)
		return b
	}
	b := make([]byte, 20+payload)
	putIPv4(b, src, dst, proto, payload)
	return b
}

// putIPv4 writes a header without options; DF is set, as Linux does for what it will not fragment.
func putIPv4(b, src, dst []byte, proto byte, payload int) {
	b[0] = 0x45
	binary.BigEndian.PutUint16(b[2:], uint16(20+payload))
	b[6] = 0x40
	b[8], b[9] = replyTTL, proto
	copy(b[12:], src)
	copy(b[16:], dst)
	binary.BigEndian.PutUint16(b[10:], ^packet.Checksum(b[:20], 0))
}

func putIPv6(b, src, dst []byte, proto byte, payload int) {
	b[0] = 0x60
	binary.BigEndian.PutUint16(b[4:], uint16(payload))
	b[6], b[7] = proto, replyTTL
	copy(b[8:], src)
	copy(b[24:], dst)
}

// transportChecksum returns the checksum field for the last length bytes of packet, whose field is
// zero.
func transportChecksum(b []byte, proto byte, length int) uint16 {
	body := b[len(b)-length:]
	if proto == protoICMP {
		return ^packet.Checksum(body, 0)
	}
	var ip ipHeader
	ip.parse(b, len(b))
	src, dst := ip.addrs(b)
	return ^packet.Checksum(body, packet.PseudoHeaderSum(proto, src, dst, length))
}
