//go:build linux

package stack

import (
	"encoding/binary"
	"net/netip"
	"reflect"

	"gvisor.dev/gvisor/pkg/tcpip"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"syntap/tun"
	"syntap/tun/packet"
)

// routeTooBig takes an ICMP error of a router between the link and a client: it could not pass on a
// packet that was sent to the client. Anybody can make one up, so it counts only when it quotes a
// packet that may be on its way (RFC 5927 §7). Other errors are for the connection's keepalive and
// timers to find out (RFC 5927 §6).
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
	if q.Proto == packet.ProtoTCP {
		s.shrinkSegments(q.tcpFlow(), mtu)
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

func (q *quoted) tcpFlow() flowKey { return flowKey{client: q.client, server: q.server} }

// sentQuoted reports whether the packet is one that we have sent to a client lately.
func (s *Stack) sentQuoted(q *quoted) bool {
	if q.Proto == packet.ProtoTCP {
		ep := s.endpointOf(q.tcpFlow())
		return ep != nil && outstanding(ep, q.Seq)
	}
	return s.nat.HasSent(q.server, q.client, q.Proto != packet.ProtoUDP, q.Length)
}

// endpointOf returns netstack's endpoint of a flow that carries payload, or nil.
func (s *Stack) endpointOf(key flowKey) *tcp.Endpoint {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.flows[key]
	if f == nil {
		return nil
	}
	if phase := f.phase.Load(); phase != established && phase != closing {
		return nil
	}
	ep, _ := f.ep.(*tcp.Endpoint)
	return ep
}

// shrinkSegments has netstack send what a path of the given MTU takes, and again what is
// outstanding.
func (s *Stack) shrinkSegments(key flowKey, mtu int) {
	if ep := s.endpointOf(key); ep != nil {
		ep.HandleError(tooBigError(mtu-packet.HeaderLen(key.client.Addr())), nil)
		ep.LockUser()
		ep.UnlockUser() // wakes the processor, which has left alone what came meanwhile
	}
}

// outstanding reports whether the client has not yet acknowledged a sequence number that was sent
// to it (RFC 5927 §4.1). Netstack does not tell what is; its fields are read as TestOutstanding has
// them.
func outstanding(ep *tcp.Endpoint, seq uint32) bool {
	ep.LockUser()
	defer ep.UnlockUser()
	sender := reflect.ValueOf(ep).Elem().FieldByName("snd")
	if !sender.IsValid() || sender.IsNil() {
		return false
	}
	una, nxt := sender.Elem().FieldByName("SndUna"), sender.Elem().FieldByName("SndNxt")
	return una.CanUint() && nxt.CanUint() && seq-uint32(una.Uint()) < uint32(nxt.Uint()-una.Uint())
}

// tooBigError is the error by which netstack learns an MTU, less the IP header.
type tooBigError uint32

var _ gstack.TransportError = tooBigError(0)

func (e tooBigError) Info() uint32                    { return uint32(e) }
func (e tooBigError) Kind() gstack.TransportErrorKind { return gstack.PacketTooBigTransportError }
func (tooBigError) Type() uint8                       { return packet.ICMPUnreachable }
func (tooBigError) Code() uint8                       { return packet.ICMPFragmentationNeeded }
func (tooBigError) Origin() tcpip.SockErrOrigin       { return tcpip.SockExtErrorOriginICMP }
