//go:build linux

package nat

import (
	"encoding/binary"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"

	"syntap/tun/packet"
)

// maxErrors bounds the ICMP errors that one call passes on.
const maxErrors = 64

// relayErrors passes on the ICMP errors that the host socket has queued, as answers to the client's
// packets.
func (m *mapping) relayErrors() {
	if m.raw != nil {
		m.raw.relayErrors()
		return
	}
	var msg msghdr
	quoted := make([]byte, packet.MaxICMPv6Error)
	for range maxErrors {
		n, errno := m.receive(&msg, quoted, unix.MSG_ERRQUEUE)
		if errno != 0 {
			return
		}
		m.relayError(&msg, quoted[:n])
	}
}

func (m *mapping) relayError(msg *msghdr, quoted []byte) {
	if b := m.translateError(msg, quoted); b != nil {
		m.router.WriteICMPError(b)
	}
}

// translateError returns the ICMP error that the client would have got without a router, or nil.
// quoted is the part of the UDP payload or of the echo request that the error quotes.
func (m *mapping) translateError(msg *msghdr, quoted []byte) []byte {
	e, ok := msg.icmpReport(m.v6)
	if !ok {
		return nil // not from the network
	}
	if m.key.client.echo {
		if len(quoted) < packet.ICMPHeaderLen {
			return nil
		}
	}
	peer := m.far(msg)
	server, named := m.nameOf(peer)
	if named && e.errno != unix.EMSGSIZE {
		m.dialer.Unreachable(server.Addr(), peer.Addr())
	}
	if m.recorder != nil {
		m.recorder.refused(m, server, &e, quoted)
	}
	v6 := m.key.client.Addr().Is6()
	typ, code, ok := e.forClient(v6)
	if !ok || server.Addr().Is6() != v6 {
		return nil
	}
	if e.from == peer.Addr() || e.from.Is6() != v6 {
		e.from = server.Addr()
	}
	b := m.clientSent(server, quoted)
	var h packet.Headers
	h.Parse(b, len(b))
	return packet.ICMPError(&h, b, e.from, typ, code, e.mtu)
}

// clientSent returns the packet in which the client has sent a message to server, as far as it is
// known: the error queue tells neither its marks nor the checksum of UDP.
func (m *mapping) clientSent(server netip.AddrPort, message []byte) []byte {
	client, proto, headerLen := m.key.client, uint8(packet.ProtoUDP), packet.UDPHeaderLen
	if client.echo {
		proto, headerLen = icmpProto(m.v6), 0 // the message has it
	}
	ipLen := packet.HeaderLen(client.Addr())
	b := make([]byte, ipLen+headerLen+len(message))
	ip := packet.IP{
		Src: client.Addr(), Dst: server.Addr(), Proto: proto,
		HopLimit: packet.DefaultHopLimit, DF: true,
	}
	ip.Put(b)
	t := b[ipLen:]
	copy(t[headerLen:], message)
	if client.echo {
		setEchoIdent(t, client.Port())
	} else {
		putUDP(t, client.AddrPort, server)
	}
	return b
}

// putUDP writes the header of the UDP message that b holds, without a checksum.
func putUDP(b []byte, from, to netip.AddrPort) {
	binary.BigEndian.PutUint16(b[0:], from.Port())
	binary.BigEndian.PutUint16(b[2:], to.Port())
	binary.BigEndian.PutUint16(b[4:], uint16(len(b)))
}

// icmpReport is the kernel's report of an ICMP error.
type icmpReport struct {
	errno     syscall.Errno
	v6        bool
	typ, code byte
	from      netip.Addr // the router or host that sent it
	mtu       uint32     // of the path, in an error about the size of a packet
}

// forClient returns type and code for a client of the given family.
func (r *icmpReport) forClient(v6 bool) (typ, code byte, ok bool) {
	switch {
	case r.errno == unix.ECONNREFUSED && v6:
		return packet.ICMPv6Unreachable, packet.ICMPv6PortUnreachable, true
	case r.errno == unix.ECONNREFUSED:
		return packet.ICMPUnreachable, packet.ICMPPortUnreachable, true
	case r.v6 != v6:
		return 0, 0, false
	case v6:
		ok = r.typ == packet.ICMPv6Unreachable || r.typ == packet.ICMPv6TimeExceeded ||
			r.typ == packet.ICMPv6PacketTooBig
	default:
		ok = r.typ == packet.ICMPTimeExceeded || r.typ == packet.ICMPUnreachable
	}
	return r.typ, r.code, ok
}

// extendedErrLen is the size of struct sock_extended_err, which a sockaddr follows.
const extendedErrLen = 16

// icmpReport returns the report just received from the error queue. ok is false for errors of the
// host itself.
func (m *msghdr) icmpReport(v6 bool) (r icmpReport, ok bool) {
	level, typ := int32(unix.IPPROTO_IP), int32(unix.IP_RECVERR)
	origin := byte(unix.SO_EE_ORIGIN_ICMP)
	addrAt, addrEnd := 4, 8
	if v6 {
		level, typ = unix.IPPROTO_IPV6, unix.IPV6_RECVERR
		origin = unix.SO_EE_ORIGIN_ICMP6
		addrAt, addrEnd = 8, 24
	}
	b := m.found(level, typ)
	if len(b) < extendedErrLen+addrEnd || b[4] != origin {
		return r, false
	}
	errno := syscall.Errno(binary.NativeEndian.Uint32(b))
	from, _ := netip.AddrFromSlice(b[extendedErrLen:][addrAt:addrEnd])
	r = icmpReport{errno: errno, v6: v6, typ: b[5], code: b[6], from: from}
	if r.errno == unix.EMSGSIZE {
		r.mtu = binary.NativeEndian.Uint32(b[8:])
	}
	return r, true
}
