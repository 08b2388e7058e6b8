//go:build linux

package stack

import (
	"encoding/binary"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// Types of ICMP time exceeded, which traceroute lives on.
const (
	icmp4TimeExceeded = 11
	icmp6TimeExceeded = 3
)

const icmp4FragmentationNeeded = 4 // a code of destination unreachable (RFC 1191 §4)

// relayErrors passes on the ICMP errors that the host socket has queued, as answers to what the
// client has sent.
func (m *mapping) relayErrors() {
	var msg message
	quoted := make([]byte, icmp6ErrorMax)
	for range datagramsPerTurn {
		n, errno := m.receive(&msg, quoted, unix.MSG_ERRQUEUE)
		if errno != 0 {
			return
		}
		if packet := m.translateError(&msg, quoted[:n]); packet != nil {
			m.nat.router.WriteICMPError(packet)
		}
	}
}

// translateError returns the ICMP error that the client would have got without us; nil where there
// is none to give. quoted is what the error quotes of the UDP payload or of the echo request.
func (m *mapping) translateError(msg *message, quoted []byte) []byte {
	e, ok := msg.icmpReport(m.v6())
	if !ok || m.key.echo && (len(quoted) < echoHeaderLen || echoIdent(quoted) != m.own.Port()) {
		return nil // local, or about another program's request: a raw socket gets the errors of all
	}
	peer := m.far(msg)
	client, server := m.key.client.Addr(), m.asClientSees(peer)
	typ, code, ok := e.forClient(client.Is6())
	if !ok || server.Addr().Is6() != client.Is6() {
		return nil
	}
	if e.from == peer.Addr() || e.from.Is6() != client.Is6() {
		e.from = server.Addr()
	}
	packet := m.clientSent(server, quoted)
	var ip ipHeader
	ip.parse(packet, len(packet))
	return icmpErrorFor(&ip, packet, e.from.AsSlice(), typ, code, e.mtu)
}

// clientSent returns the packet in which the client has sent message to server, as far as it is
// known.
func (m *mapping) clientSent(server netip.AddrPort, message []byte) []byte {
	client, proto, headerLen := m.key.client, byte(protoUDP), udpHeaderLen
	if m.key.echo {
		proto, headerLen = icmpProto(m.v6()), 0 // message has it
	}
	length := headerLen + len(message)
	packet := newIPPacket(server.Addr().Is6(), client.Addr().AsSlice(), server.Addr().AsSlice(), proto, length)
	t := packet[len(packet)-length:]
	copy(t[headerLen:], message)
	if m.key.echo {
		setEchoIdent(t, client.Port())
	} else {
		putUDP(t, client, server)
	}
	return packet
}

// icmpReport is what the kernel tells of an ICMP error.
type icmpReport struct {
	errno     syscall.Errno
	v6        bool
	typ, code byte
	from      netip.Addr // who sent it
	mtu       uint32     // of the path, where it is about that
}

// forClient returns type and code for a client of the given family.
func (r *icmpReport) forClient(v6 bool) (typ, code byte, ok bool) {
	switch {
	case r.errno == unix.ECONNREFUSED && v6:
		return icmp6Unreachable, portUnreachable.v6, true
	case r.errno == unix.ECONNREFUSED:
		return icmp4Unreachable, portUnreachable.v4, true
	case r.v6 != v6:
		return 0, 0, false
	case v6:
		return r.typ, r.code, r.typ == icmp6Unreachable || r.typ == icmp6TimeExceeded || r.typ == icmp6PacketTooBig
	}
	return r.typ, r.code, r.typ == icmp4TimeExceeded || r.typ == icmp4Unreachable
}

// extendedErrLen is the size of struct sock_extended_err, which a sockaddr follows.
const extendedErrLen = 16

// icmpReport returns the report just received from the error queue; errors of the host's own are
// not for clients.
func (m *message) icmpReport(v6 bool) (r icmpReport, ok bool) {
	level, typ, origin, addrAt, addrEnd := int32(unix.IPPROTO_IP), int32(unix.IP_RECVERR), byte(unix.SO_EE_ORIGIN_ICMP), 4, 8
	if v6 {
		level, typ, origin, addrAt, addrEnd = unix.IPPROTO_IPV6, unix.IPV6_RECVERR, unix.SO_EE_ORIGIN_ICMP6, 8, 24
	}
	b := m.received(level, typ)
	if len(b) < extendedErrLen+addrEnd || b[4] != origin {
		return r, false
	}
	from, _ := netip.AddrFromSlice(b[extendedErrLen:][addrAt:addrEnd])
	r = icmpReport{errno: syscall.Errno(binary.NativeEndian.Uint32(b)), v6: v6, typ: b[5], code: b[6], from: from}
	if r.errno == unix.EMSGSIZE {
		r.mtu = binary.NativeEndian.Uint32(b[8:])
	}
	return r, true
}
