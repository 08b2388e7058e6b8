//go:build linux

package stack

import (
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"syntap/tun"
)

// target returns where to send what a client sends to server. Where it goes nowhere, the frame is counted, and answered
// if it is policy that forbids it.
func (s *Stack) target(f *frame, client netip.Addr, server netip.AddrPort) (netip.AddrPort, bool) {
	if !leavesLink(client) || !leavesLink(server.Addr()) {
		f.drop(&s.stats.DropLinkScope)
		return netip.AddrPort{}, false
	}
	target, err := s.dialer.Target(server)
	if err != nil {
		f.drop(&s.stats.DropDenied)
		s.reject(f, adminProhibited)
		return netip.AddrPort{}, false
	}
	return target, true
}

var limitedBroadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255}) // RFC 919 §7

// leavesLink reports whether an address may stand in a packet that a router passes on. An interface sends much that does
// not leave its link, such as mDNS, DHCPv6 and router solicitations; that is nothing to answer. What is link-local in
// IPv4 hosts do route, for their cloud's services: it is policy's business.
func leavesLink(a netip.Addr) bool {
	a = a.Unmap()
	return !a.IsMulticast() && !a.IsUnspecified() && a != limitedBroadcast && (a.Is4() || !a.IsLinkLocalUnicast())
}

// mapping returns the mapping of a client endpoint that is about to send f to server. Where there is none and none can be
// made, it counts why and returns nil.
func (s *Stack) mapping(f *frame, key mappingKey, server netip.AddrPort) *mapping {
	if m := s.nat.find(key, server.Port()); m != nil {
		return m
	}
	if !key.echo && s.nat.owns(ownPort{key.client.Port(), key.v6}) && s.host.Contains(key.client.Addr()) {
		f.drop(&s.stats.DropOwnSocket)
		return nil
	}
	if !s.nat.makeRoom() {
		f.drop(&s.stats.DropUDPFlows)
		return nil
	}
	m, err := s.newMapping(key, server)
	if err != nil {
		f.drop(&s.stats.DropUDPSend)
		s.localFailure(err)
		return nil
	}
	s.nat.add(m, server.Port())
	return m
}

// sent tells the client when the host knows no way for its datagram. Another failure is the host's own: no answer.
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

// writeICMPError sends an ICMP error to a client, unless there have been too many (RFC 1812 §4.3.2.8, RFC 4443 §2.4 (f)).
func (s *Stack) writeICMPError(packet []byte) {
	if s.net.AllowICMPMessage() {
		s.writeInbound(tun.Offload{}, packet)
	}
}

// fromNetstack routes a packet that netstack has put together from fragments or freed from extension headers. It always
// reports that the packet is taken care of: netstack would answer by itself.
func (s *Stack) fromNetstack(_ gstack.TransportEndpointID, pkt *gstack.PacketBuffer) bool {
	message := gstack.PayloadSince(pkt.TransportHeader())
	defer message.Release()
	was := pkt.NetworkHeader().Slice()
	ip := ipHeader{v6: pkt.NetworkProtocolNumber == header.IPv6ProtocolNumber}
	src, dst := ip.addrs(was)
	packet := newIPPacket(ip.v6, src, dst, byte(pkt.TransportProtocolNumber), message.Size())
	*ip.hopLimit(packet) = *ip.hopLimit(was)
	copy(packet[len(packet)-message.Size():], message.AsSlice())
	n := min(len(packet), tun.HeadSize)
	s.route(&frame{head: packet[:n], body: packet[n:]})
	return true
}
