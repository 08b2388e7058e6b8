//go:build linux

package hostsock

import (
	"encoding/binary"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"

	"syntap/tun/packet"
)

// Report is the kernel's report of an ICMP error.
type Report struct {
	Errno      syscall.Errno
	V6         bool
	Type, Code byte
	From       netip.Addr // the router or host that sent it
	MTU        uint32     // of the path, in an error about the size of a packet

	Marks packet.Marks // of the error's own packet; Whole is unknown
}

// ForClient returns type and code for a client of the given family.
func (r *Report) ForClient(v6 bool) (typ, code byte, ok bool) {
	switch {
	case r.Errno == unix.ECONNREFUSED && v6:
		return packet.ICMPv6Unreachable, packet.ICMPv6PortUnreachable, true
	case r.Errno == unix.ECONNREFUSED:
		return packet.ICMPUnreachable, packet.ICMPPortUnreachable, true
	case r.V6 != v6:
		return 0, 0, false
	case v6:
		ok = r.Type == packet.ICMPv6Unreachable || r.Type == packet.ICMPv6TimeExceeded ||
			r.Type == packet.ICMPv6PacketTooBig
	default:
		ok = r.Type == packet.ICMPTimeExceeded || r.Type == packet.ICMPUnreachable
	}
	return r.Type, r.Code, ok
}

// extendedErrLen is the size of struct sock_extended_err, which a sockaddr follows.
const extendedErrLen = 16

// Report returns the report just received from the error queue. ok is false for errors of the
// host itself.
func (m *Msghdr) Report(v6 bool) (r Report, ok bool) {
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
	m.ReadControl()
	r = Report{Errno: errno, V6: v6, Type: b[5], Code: b[6], From: from, Marks: m.Marks}
	if r.Errno == unix.EMSGSIZE {
		r.MTU = binary.NativeEndian.Uint32(b[8:])
	}
	return r, true
}
