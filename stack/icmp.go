//go:build linux

package stack

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"

	"syntap/tun/packet"
)

// Types of ICMP echo messages (RFC 792, RFC 4443 §4).
const (
	icmp4EchoReply   = 0
	icmp4EchoRequest = 8
	icmp6EchoRequest = 128
	icmp6EchoReply   = 129
)

const echoHeaderLen = 8

// routeEcho sends a client's echo request on; only the far end answers it. Other ICMP messages are
// dropped: they concern the link alone, or are errors that change nothing (RFC 5927 §6).
func (n *nat) routeEcho(f *frame) {
	request := f.head[f.ip.len:]
	if len(request) < echoHeaderLen {
		n.stats.DropMalformed.Add(1)
		return
	}
	echo := byte(icmp4EchoRequest)
	if f.ip.v6 {
		echo = icmp6EchoRequest
	}
	if request[0] != echo || request[1] != 0 {
		n.stats.DropICMP.Add(1)
		return
	}
	f.now = n.table.now()
	// An identifier takes the place of the client's port; the far end has none.
	client, server := netip.AddrPortFrom(f.ip.srcAddr(f.head), echoIdent(request)), netip.AddrPortFrom(f.ip.dstAddr(f.head), 0)
	target, ok := n.target(f, client.Addr(), server)
	if !ok {
		return
	}
	if target.Addr().Is6() != f.ip.v6 { // an IPv4-mapped address: ICMPv6 does not go there
		n.stats.DropICMP.Add(1)
		return
	}
	for again := true; ; again = false {
		m := n.mapping(f, client, true, target, server)
		if m == nil {
			return
		}
		m.noteTarget(target, server)
		setEchoIdent(request, m.own.Port())
		head, body := f.slice(f.ip.len, f.ip.total)
		errno := m.sendSurely(&n.out, target, f.marks(), 0, head, body)
		setEchoIdent(request, client.Port())
		if again && errno == unix.EINVAL && n.ways.forget(target) {
			continue // the address that it would leave from has gone
		}
		n.sent(f, target, errno)
		return
	}
}

func icmpProto(v6 bool) byte {
	if v6 {
		return protoICMPv6
	}
	return protoICMP
}

func echoIdent(message []byte) uint16 { return binary.BigEndian.Uint16(message[4:]) }

// setEchoIdent changes the identifier of an echo message, and its checksum with it.
func setEchoIdent(message []byte, ident uint16) {
	sum := binary.BigEndian.Uint16(message[2:])
	binary.BigEndian.PutUint16(message[2:], packet.UpdateChecksum(sum, echoIdent(message), ident))
	binary.BigEndian.PutUint16(message[4:], ident)
}

// replyEcho passes the echo reply of n bytes just received from a far end on to the client.
func (m *mapping) replyEcho(in *inbound, n int, from netip.Addr) {
	at, end := headroom, headroom+n
	if m.raw && !m.v6() && n > 0 {
		at += int(in.buf[at]&15) * 4 // a raw IPv4 socket gives the IP header too
	}
	echo := byte(icmp4EchoReply)
	if m.v6() {
		echo = icmp6EchoReply
	}
	if at+echoHeaderLen > end || in.buf[at] != echo || echoIdent(in.buf[at:]) != m.own.Port() {
		return // it came before the raw socket had its filter
	}
	m.nat.table.heard(m, 1, in.now)
	client := m.key.client
	b := in.buf[at-ipHeaderLen(from) : end]
	in.putIP(b, from, client.Addr(), icmpProto(m.v6()), in.marks)
	reply := in.buf[at:end]
	binary.BigEndian.PutUint16(reply[4:], client.Port())
	binary.BigEndian.PutUint16(reply[2:], 0)
	binary.BigEndian.PutUint16(reply[2:], transportChecksum(b, icmpProto(m.v6()), len(reply)))
	m.noteSent(netip.AddrPortFrom(from, 0), len(b))
	m.nat.writeWhole(in, b, client.Addr())
}
