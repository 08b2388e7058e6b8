//go:build linux

package stack

import (
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// target returns where to send what a client sends to server. Where it goes nowhere, the frame is
// counted, and answered if it is policy that forbids it.
func (n *nat) target(f *frame, client netip.Addr, server netip.AddrPort) (netip.AddrPort, bool) {
	if !leavesLink(client) || !leavesLink(server.Addr()) {
		f.drop(&n.stats.DropLinkScope)
		return netip.AddrPort{}, false
	}
	if !n.source.mayBe(client, f.now, n.o.Sources) {
		f.drop(&n.stats.DropSource)
		return netip.AddrPort{}, false
	}
	target, err := n.dialer.Target(client, server)
	if err != nil {
		f.drop(&n.stats.DropDenied)
		n.o.Denied(server.Addr())
		n.reject(f, adminProhibited)
		return netip.AddrPort{}, false
	}
	return target, true
}

// source is the client that has sent last; most datagrams come from the one before.
type source struct {
	addr  netip.Addr
	asked time.Duration // when, on nat's clock
}

// sourceAge is for how long the answer about a client holds.
const sourceAge = time.Second

// mayBe reports whether a client may have the address.
func (s *source) mayBe(client netip.Addr, now time.Duration, sources func(netip.Addr) bool) bool {
	if client == s.addr && now-s.asked < sourceAge {
		return true
	}
	if client.IsLoopback() || client.Is4In6() || classE.Contains(client) || thisNetwork.Contains(client) || !sources(client) {
		return false
	}
	s.addr, s.asked = client, now
	return true
}

// Addresses that stand in no packet as its source (RFC 1122 §3.2.1.3, RFC 1112 §4).
var (
	thisNetwork = netip.MustParsePrefix("0.0.0.0/8")
	classE      = netip.MustParsePrefix("240.0.0.0/4")
)

var limitedBroadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255}) // RFC 919 §7

// leavesLink reports whether an address may stand in a packet that a router passes on. An interface
// sends much that does not leave its link, such as mDNS, DHCPv6 and router solicitations; that is
// nothing to answer. What is link-local in IPv4 hosts do route, for their cloud's services: it is
// policy's business.
func leavesLink(a netip.Addr) bool {
	a = a.Unmap()
	return !a.IsMulticast() && !a.IsUnspecified() && a != limitedBroadcast && (a.Is4() || !a.IsLinkLocalUnicast())
}

// mapping returns the mapping by which a client endpoint is about to send f to server, which is
// target for the host. Where there is none and none can be made, it tells why, as far as that is
// the client's business, and returns nil.
func (n *nat) mapping(f *frame, client netip.AddrPort, echo bool, target, server netip.AddrPort) *mapping {
	local, err := n.leavesFrom(client.Addr(), target, f.now)
	if err != nil {
		n.sent(f, target, errnoOf(err))
		return nil
	}
	key := mappingKey{client: client, echo: echo, local: local}
	if m := n.table.find(key, server.Port(), f.datagrams(), f.now); m != nil {
		return m
	}
	if n.table.owns(ownSocket{client, echo}) {
		f.drop(&n.stats.DropOwnSocket)
		return nil
	}
	if full := n.table.makeRoom(client.Addr()); full != nil {
		f.drop(full)
		return nil
	}
	m, err := n.newMapping(key, server)
	if err != nil {
		f.drop(&n.stats.DropUDPSend)
		n.router.LocalFailure(err)
		return nil
	}
	n.table.add(m, server.Port(), f.datagrams())
	return m
}

// sent tells the client when the host knows no way for its datagram. Another failure is the host's
// own: no answer.
func (n *nat) sent(f *frame, target netip.AddrPort, errno syscall.Errno) {
	if errno == 0 {
		return
	}
	f.drop(&n.stats.DropUDPSend)
	switch errno {
	case unix.ENETUNREACH:
		n.reject(f, netUnreachable)
	case unix.EHOSTUNREACH:
		n.reject(f, hostUnreachable)
	case unix.EACCES: // a route says so
		n.reject(f, adminProhibited)
	case unix.EMSGSIZE:
		n.rejectTooBig(f, target)
	default:
		n.router.LocalFailure(errno)
	}
}

// reject answers a frame with an ICMP error from its destination.
func (n *nat) reject(f *frame, r reason) {
	n.router.WriteICMPError(unreachableFor(&f.ip, f.head, r))
}
