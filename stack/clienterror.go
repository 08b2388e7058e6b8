//go:build linux

package stack

import (
	"gvisor.dev/gvisor/pkg/tcpip"

	"syntap/stack/clientpath"
	"syntap/stack/netstack"
	"syntap/tun/packet"
)

// routeTooBig handles the ICMP error of a router between the link and a client that could not
// forward a packet to the client. Any sender can forge one, so it counts only if it quotes a packet
// that may be in flight (RFC 5927 §7). Other errors are left to the connection's keepalive and
// timers (RFC 5927 §6).
func (s *Stack) routeTooBig(v6 bool, message []byte) {
	e, ok := clientpath.ParseTooBig(v6, message)
	if !ok || !s.hasSent(&e) {
		s.stats.DropUnmatched.Add(1)
		return
	}
	for _, s := range s.shards {
		s.paths.Learn(e.Client.Addr(), e.MTU)
	}
	if e.Proto != packet.ProtoTCP {
		return
	}
	if ep, _ := s.endpointOf(connKey{client: e.Client, server: e.Server}); ep != nil {
		netstack.LowerPathMTU(ep, e.MTU, packet.HeaderLen(e.Client.Addr()))
	}
}

// hasSent reports whether the packet that an error quotes is one that we have recently sent to a
// client.
func (s *Stack) hasSent(e *clientpath.TooBig) bool {
	if e.Proto == packet.ProtoTCP {
		ep, _ := s.endpointOf(connKey{client: e.Client, server: e.Server})
		return ep != nil && netstack.Outstanding(ep, e.Seq)
	}
	return s.nat.HasSent(e.Server, e.Client, e.Proto != packet.ProtoUDP, e.Length)
}

// endpointOf returns netstack's endpoint of a connection that carries payload, or nil, and its
// client's initial sequence number.
func (s *Stack) endpointOf(key connKey) (ep tcpip.Endpoint, isn uint32) {
	s = s.home(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.conns[key]
	if c == nil {
		return nil, 0
	}
	if phase := c.phase.Load(); phase != established && phase != closing {
		return nil, 0
	}
	return c.ep, c.isn
}
