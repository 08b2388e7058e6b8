//go:build linux

package stack

import (
	"encoding/binary"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"

	"syntap/stack/netstack"
	"syntap/tun"
	"syntap/tun/packet"
)

// routeTooBig takes an ICMP error of a router between the link and a client: it could not pass on a
// packet that was sent to the client. Any sender can make one up, so it counts only when it quotes
// a packet that may be on its way (RFC 5927 §7). Other errors are for the connection's keepalive
// and timers to find out (RFC 5927 §6).
func (s *Stack) routeTooBig(v6 bool, message []byte) {
	mtu, least := int(binary.BigEndian.Uint16(message[6:])), minPathMTU4
	if v6 {
		mtu, least = int(min(binary.BigEndian.Uint32(message[4:]), 1<<16)), minPathMTU6
	}
	var q quoted
	parsed := q.parse(message[packet.ICMPHeaderLen:]) && (q.Version == 6) == v6
	if !parsed || q.Length <= mtu || v6 && mtu < least || !s.sentQuoted(&q) {
		s.stats.DropUnmatched.Add(1)
		return
	}
	mtu = max(mtu, least)
	s.paths.learn(q.client.Addr(), mtu)
	if q.Proto != packet.ProtoTCP {
		return
	}
	if ep := s.endpointOf(q.tcpFlow()); ep != nil {
		netstack.LowerPathMTU(ep, mtu, packet.HeaderLen(q.client.Addr()))
	}
}

// tooBig reports whether an ICMP message is such an error.
func tooBig(v6 bool, message []byte) bool {
	if len(message) < packet.ICMPHeaderLen {
		return false
	}
	if v6 {
		return message[0] == packet.ICMPv6PacketTooBig
	}
	return message[0] == packet.ICMPUnreachable && message[1] == packet.ICMPFragmentationNeeded
}

// quoted is the packet that an ICMP error is about: one from a server to a client.
type quoted struct {
	packet.Headers
	server, client netip.AddrPort // of an echo reply the client has its identifier for the port
}

// parse reads the beginning of a packet. It must hold the first 8 bytes of the transport header.
func (q *quoted) parse(b []byte) bool {
	q.Headers.Parse(b, packet.AnyLength)
	first := q.Fragment == packet.Whole || q.Version == 6 && q.Fragment != packet.LaterFragment
	if !q.Upper || !first || q.Length > tun.MaxFrame || len(b) < q.Offset+8 {
		return false
	}
	q.server, q.client = q.Ends(b)
	switch {
	case q.Proto == packet.ProtoTCP, q.Proto == packet.ProtoUDP:
		return true
	case q.Proto == packet.ProtoICMP && b[q.Offset] == packet.ICMPEchoReply,
		q.Proto == packet.ProtoICMPv6 && b[q.Offset] == packet.ICMPv6EchoReply:
		ident := binary.BigEndian.Uint16(b[q.Offset+4:])
		q.client = netip.AddrPortFrom(q.client.Addr(), ident)
		return true
	}
	return false
}

func (q *quoted) tcpFlow() connKey { return connKey{client: q.client, server: q.server} }

// sentQuoted reports whether the packet is one that we have sent to a client lately.
func (s *Stack) sentQuoted(q *quoted) bool {
	if q.Proto == packet.ProtoTCP {
		ep := s.endpointOf(q.tcpFlow())
		return ep != nil && netstack.Outstanding(ep, q.Seq)
	}
	return s.nat.HasSent(q.server, q.client, q.Proto != packet.ProtoUDP, q.Length)
}

// endpointOf returns netstack's endpoint of a connection that carries payload, or nil.
func (s *Stack) endpointOf(key connKey) tcpip.Endpoint {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.conns[key]
	if c == nil {
		return nil
	}
	if phase := c.phase.Load(); phase != established && phase != closing {
		return nil
	}
	return c.ep
}
