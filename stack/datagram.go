//go:build linux

package stack

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"syntap/tun"
)

// target returns where to send what a client sends to server. Where it goes nowhere, the frame is
// counted, and answered if it is policy that forbids it.
func (s *Stack) target(f *frame, client netip.Addr, server netip.AddrPort) (netip.AddrPort, bool) {
	if !leavesLink(client) || !leavesLink(server.Addr()) {
		f.drop(&s.stats.DropLinkScope)
		return netip.AddrPort{}, false
	}
	if !s.source.mayBe(client, f.now, s.o.Sources) {
		f.drop(&s.stats.DropSource)
		return netip.AddrPort{}, false
	}
	target, err := s.dialer.Target(client, server)
	if err != nil {
		f.drop(&s.stats.DropDenied)
		s.denied(server)
		s.reject(f, adminProhibited)
		return netip.AddrPort{}, false
	}
	return target, true
}

// denied says that policy forbids a destination.
func (s *Stack) denied(server netip.AddrPort) {
	if s.o.Denied != nil {
		s.o.Denied(server.Addr())
	}
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
	if client.IsLoopback() || client.Is4In6() || classE.Contains(client) || thisNetwork.Contains(client) || sources != nil && !sources(client) {
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
func (s *Stack) mapping(f *frame, client netip.AddrPort, echo bool, target, server netip.AddrPort) *mapping {
	local, err := s.leavesFrom(client.Addr(), target, f.now)
	if err != nil {
		s.sent(f, target, errnoOf(err))
		return nil
	}
	key := mappingKey{client: client, echo: echo, local: local}
	if m := s.nat.find(key, server.Port(), f.datagrams(), f.now); m != nil {
		return m
	}
	if s.nat.owns(ownSocket{client, echo}) {
		f.drop(&s.stats.DropOwnSocket)
		return nil
	}
	if full := s.nat.makeRoom(client.Addr()); full != nil {
		f.drop(full)
		return nil
	}
	m, err := s.newMapping(key, server)
	if err != nil {
		f.drop(&s.stats.DropUDPSend)
		s.localFailure(err)
		return nil
	}
	s.nat.add(m, server.Port(), f.datagrams())
	return m
}

// sent tells the client when the host knows no way for its datagram. Another failure is the host's
// own: no answer.
func (s *Stack) sent(f *frame, target netip.AddrPort, errno syscall.Errno) {
	if errno == 0 {
		return
	}
	f.drop(&s.stats.DropUDPSend)
	switch errno {
	case unix.ENETUNREACH:
		s.reject(f, netUnreachable)
	case unix.EHOSTUNREACH:
		s.reject(f, hostUnreachable)
	case unix.EACCES: // a route says so
		s.reject(f, adminProhibited)
	case unix.EMSGSIZE:
		s.rejectTooBig(f, target)
	default:
		s.localFailure(errno)
	}
}

// reject answers a frame with an ICMP error from its destination.
func (s *Stack) reject(f *frame, r reason) {
	s.writeICMPError(unreachableFor(&f.ip, f.head, r))
}

// writeICMPError sends an ICMP error to a client, unless there have been too many (RFC 1812
// §4.3.2.8, RFC 4443 §2.4 (f)).
func (s *Stack) writeICMPError(packet []byte) {
	if s.net.AllowICMPMessage() {
		s.writeInbound(tun.Offload{}, packet)
	}
}

// fromNetstack routes a packet that netstack has put together from fragments or freed from
// extension headers. It always reports that the packet is taken care of: netstack would answer by
// itself.
func (s *Stack) fromNetstack(_ gstack.TransportEndpointID, pkt *gstack.PacketBuffer) bool {
	message := gstack.PayloadSince(pkt.TransportHeader())
	defer message.Release()
	was := pkt.NetworkHeader().Slice()
	ip := ipHeader{v6: pkt.NetworkProtocolNumber == header.IPv6ProtocolNumber}
	src, dst := ip.addrs(was)
	packet := newIPPacket(ip.v6, src, dst, byte(pkt.TransportProtocolNumber), message.Size())
	as := (&frame{head: was, ip: ip}).marks()
	*ip.hopLimit(packet) = as.hopLimit
	ip.setTOS(packet, as.tos)
	if !ip.v6 {
		packet[6] = 0 // no DF: it has been fragmented
		binary.BigEndian.PutUint16(packet[10:], 0)
		binary.BigEndian.PutUint16(packet[10:], ^tun.Checksum(packet[:20], 0))
	}
	copy(packet[len(packet)-message.Size():], message.AsSlice())
	n := min(len(packet), tun.HeadSize)
	s.route(&frame{head: packet[:n], body: packet[n:], pieces: true})
	return true
}
