//go:build linux

package stack

import (
	"encoding/binary"
	"net/netip"
	"reflect"

	"gvisor.dev/gvisor/pkg/tcpip"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

const icmp6PacketTooBig = 2 // RFC 4443 §3.2

const icmpHeaderLen = 8 // RFC 792, RFC 4443 §2.1

// routeTooBig takes an ICMP error of a router between the link and a client: it could not pass on a
// packet that was sent to the client. Anybody can make one up, so it counts only when it quotes a
// packet that may be on its way (RFC 5927 §7). Other errors are for the connection's keepalive and
// timers to find out (RFC 5927 §6).
func (s *Stack) routeTooBig(f *frame, message []byte) {
	mtu, least := int(binary.BigEndian.Uint16(message[6:])), minPathMTU4
	if f.ip.v6 {
		mtu, least = int(min(binary.BigEndian.Uint32(message[4:]), 1<<16)), minPathMTU6
	}
	var q quoted
	parsed := q.parse(message[icmpHeaderLen:]) && q.ip.v6 == f.ip.v6
	if !parsed || q.ip.total <= mtu || f.ip.v6 && mtu < least || !s.sentQuoted(&q) {
		s.stats.DropUnmatched.Add(1)
		return
	}
	mtu = max(mtu, least)
	s.paths.learn(q.client.Addr(), mtu)
	if q.proto == protoTCP {
		s.shrinkSegments(q.tcpFlow(), mtu)
	}
}

// tooBig reports whether an ICMP message is such an error.
func tooBig(v6 bool, message []byte) bool {
	if len(message) < icmpHeaderLen {
		return false
	}
	if v6 {
		return message[0] == icmp6PacketTooBig
	}
	return message[0] == icmp4Unreachable && message[1] == icmp4FragmentationNeeded
}

// quoted is the packet that an ICMP error is about: one from a server to a client.
type quoted struct {
	ip             ipHeader
	proto          byte
	server, client netip.AddrPort // of an echo reply the client has its identifier for the port
	seq            uint32         // of TCP
}

// parse reads the beginning of a packet. It must hold the first 8 bytes of the transport header.
func (q *quoted) parse(b []byte) bool {
	const anyLength = 1 << 17
	if !q.ip.parse(b, anyLength) || q.ip.fragment && !q.ip.v6 {
		return false
	}
	q.proto = q.ip.proto
	t := b[q.ip.len:]
	if q.ip.fragment {
		if len(t) < fragmentHeaderLen || binary.BigEndian.Uint16(t[2:])&^7 != 0 {
			return false // not the first one: it has no ports
		}
		q.proto, t = t[0], t[fragmentHeaderLen:]
	}
	if len(t) < 8 {
		return false
	}
	src, dst := q.ip.srcAddr(b), q.ip.dstAddr(b)
	switch q.proto {
	case protoTCP, protoUDP:
		q.server = netip.AddrPortFrom(src, binary.BigEndian.Uint16(t))
		q.client = netip.AddrPortFrom(dst, binary.BigEndian.Uint16(t[2:]))
		q.seq = binary.BigEndian.Uint32(t[4:])
		return true
	case icmpProto(q.ip.v6):
		q.server, q.client = netip.AddrPortFrom(src, 0), netip.AddrPortFrom(dst, echoIdent(t))
		return t[0] == icmp4EchoReply && !q.ip.v6 || t[0] == icmp6EchoReply && q.ip.v6
	}
	return false
}

func (q *quoted) tcpFlow() flowKey { return flowKey{client: q.client, server: q.server} }

// sentQuoted reports whether the packet is one that we have sent to a client lately.
func (s *Stack) sentQuoted(q *quoted) bool {
	if q.proto == protoTCP {
		ep := s.endpointOf(q.tcpFlow())
		return ep != nil && outstanding(ep, q.seq)
	}
	return s.nat.hasSent(q.server, q.client, q.proto != protoUDP, q.ip.total)
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
		ep.HandleError(tooBigError(mtu-ipHeaderLen(key.client.Addr())), nil)
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
func (tooBigError) Type() uint8                       { return icmp4Unreachable }
func (tooBigError) Code() uint8                       { return icmp4FragmentationNeeded }
func (tooBigError) Origin() tcpip.SockErrOrigin       { return tcpip.SockExtErrorOriginICMP }
