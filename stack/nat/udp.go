//go:build linux

package nat

import (
	"net/netip"

	"syntap/tun/packet"
)

// UDP carries a datagram of a client, or a GSO packet of them. After JoinBursts it may hold
// datagrams back until Flush.
func (n *NAT) UDP(f *Frame) {
	if n.burst == nil || n.isName(f) {
		n.Flush()
		n.sendUDP(f)
		return
	}
	joined := n.burst.join(f)
	if !joined {
		n.Flush()
		joined = n.burst.join(f)
	}
	switch {
	case !joined:
		n.sendUDP(f)
	case n.burst.full():
		n.Flush()
	}
}

// JoinBursts has datagrams that clients send one by one leave as GSO packets. The caller calls
// Flush when it has no more frames to read, and before it carries other frames.
func (n *NAT) JoinBursts() { n.burst = newBurst() }

// Flush sends the datagrams that UDP holds back.
func (n *NAT) Flush() {
	if n.burst != nil && n.burst.n > 0 {
		f := n.burst.frame()
		n.sendUDP(&f)
	}
}

func (n *NAT) sendUDP(f *Frame) {
	_, segment, ok := f.udpLength()
	if !ok {
		n.stats.DropMalformed.Add(1)
		return
	}
	client, server := f.Headers.Ends(f.Head)
	if segment > 0 && n.isName(f) {
		for _, one := range f.cut() {
			n.carry(&one, endpoint{client, false}, server)
		}
		return
	}
	n.carry(f, endpoint{client, false}, server)
}

// isName reports whether a frame may hold DNS queries, each of which is decided on and recorded.
func (n *NAT) isName(f *Frame) bool {
	return n.asksNames() && f.Headers.DstPort == portDNS
}

// Echo carries an echo request of a client; only the far end answers it. Other ICMP messages are
// dropped: they concern the link alone, or are errors that change nothing (RFC 5927 §6).
func (n *NAT) Echo(f *Frame) {
	request := f.Head[f.Headers.Offset:]
	if len(request) < packet.ICMPHeaderLen {
		n.stats.DropMalformed.Add(1)
		return
	}
	typ := uint8(packet.ICMPEchoRequest)
	if f.v6() {
		typ = packet.ICMPv6EchoRequest
	}
	if request[0] != typ || request[1] != 0 {
		n.stats.DropICMP.Add(1)
		return
	}
	client := netip.AddrPortFrom(f.Headers.Src(f.Head), echoIdent(request))
	n.carry(f, endpoint{client, true}, netip.AddrPortFrom(f.Headers.Dst(f.Head), 0))
}
