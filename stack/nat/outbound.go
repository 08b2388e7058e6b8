//go:build linux

package nat

import (
	"net/netip"
	"time"

	"syntap/stack/dial"
	"syntap/stack/inspect"
	"syntap/stack/nat/flows"
	"syntap/stack/nat/gso"
	"syntap/stack/nat/mappings"
	"syntap/tun"
	tunflow "syntap/tun/flow"
)

// UDP carries a datagram of a client, or a GSO packet of them; its headers are Plain. reassembled
// is for one that the client had fragmented. After JoinBursts UDP may hold datagrams back until
// Flush.
func (n *NAT) UDP(in *tun.Frame, reassembled bool) {
	f := &gso.Frame{Frame: in, Reassembled: reassembled}
	if reassembled && n.shards != nil {
		n.sendUDP(f) // the burst is the read loop's
		return
	}
	if n.burst == nil || n.isName(f) {
		n.Flush()
		n.sendUDP(f)
		return
	}
	joined := n.burst.Join(f)
	if !joined {
		n.Flush()
		joined = n.burst.Join(f)
	}
	switch {
	case !joined:
		n.sendUDP(f)
	case n.burst.Full():
		n.Flush()
	}
}

// JoinBursts joins datagrams that clients send one by one into GSO packets. The caller must call
// Flush when it has no more frames to read, and before it carries other frames.
func (n *NAT) JoinBursts() { n.burst = gso.NewBurst() }

// Flush sends the datagrams that UDP holds back.
func (n *NAT) Flush() {
	if n.burst != nil && !n.burst.Empty() {
		f := n.burst.Frame()
		n.sendUDP(&f)
	}
}

func (n *NAT) sendUDP(f *gso.Frame) {
	_, segment, ok := f.UDPLength()
	if !ok {
		n.stats.DropMalformed.Add(1)
		return
	}
	client, server := f.Headers.Ends(f.Head)
	if segment > 0 && n.isName(f) {
		for _, one := range f.Cut() {
			n.carry(&one, mappings.UDP(client), server)
		}
		return
	}
	n.carry(f, mappings.UDP(client), server)
}

// isName reports whether a frame may hold DNS queries, each of which is decided on and recorded.
func (n *NAT) isName(f *gso.Frame) bool {
	return n.asksNames() && f.Headers.DstPort == inspect.PortDNS
}

// carry sends a frame of a client on to server, through the client's mapping. If it cannot, it
// counts the frame, and answers it if the reason concerns the client.
//
// A reassembled frame may come from any goroutine where there are several NATs.
func (n *NAT) carry(f *gso.Frame, client mappings.Endpoint, server netip.AddrPort) {
	home := n
	if f.Reassembled {
		home = n.take(client)
		defer n.give(client)
	} else {
		home = n.homeOf(client)
	}
	home.carrying.Lock()
	defer home.carrying.Unlock()
	home.carryOut(f, client, server)
}

// carryAgain carries a frame whose mapping has lost its address while the frame was held. Any
// goroutine may call it.
func (n *NAT) carryAgain(
	f *gso.Frame, target netip.AddrPort, client mappings.Endpoint, server netip.AddrPort,
) {
	home := n.take(client) // another may have become it, once the mapping had gone
	defer n.give(client)
	n = home
	n.carrying.Lock()
	defer n.carrying.Unlock()
	select {
	case <-n.table.Closed():
		f.Drop(&n.stats.DropSend)
	default:
		n.routes.forget(target)
		n.carryOut(f, client, server)
	}
}

// carryOut is carry with carrying held.
func (n *NAT) carryOut(f *gso.Frame, client mappings.Endpoint, server netip.AddrPort) {
	if f.Marks().HopLimit == 0 {
		f.Drop(&n.stats.DropMalformed)
		return
	}
	id := n.identify(f, client, server)
	target, ok := n.target(f, &id)
	if !ok {
		return
	}
	for again := true; ; again = false {
		m := n.mapping(f, target, &id)
		if m == nil {
			return
		}
		m.noteTarget(target, server, id.ruling != nil)
		errno, changed := n.send(m, f, target, &id)
		if changed {
			n.carryOut(f, client, server) // by a new flow, if policy lets this sender
			return
		}
		if again && flows.LacksAddress(errno) && n.routes.forget(target) {
			continue
		}
		if errno != 0 {
			n.dialer.Unreachable(server.Addr(), target.Addr())
			n.failed(f, target, errno, n.routes.kernel, nil)
		}
		return
	}
}

// target returns the address to which the host sends a frame of a client, if it may.
func (n *NAT) target(f *gso.Frame, id *identity) (netip.AddrPort, bool) {
	client, server := id.client, id.key.Server
	if !leavesLink(client.Addr()) || !leavesLink(server.Addr()) {
		f.Drop(&n.stats.DropLinkScope)
		return netip.AddrPort{}, false
	}
	if !n.maySend(client.Addr(), id.now) {
		f.Drop(&n.stats.DropSource)
		return netip.AddrPort{}, false
	}
	to := dial.Flow{Proto: tunflow.UDP, Client: client.AddrPort, Server: server}
	if client.Echo {
		to.Proto = tunflow.ICMP
	}
	id.ruling = n.rule(to, id.now)
	target, decision := n.dialer.Target(to, id.ruling)
	id.decision = decision
	if decision.Deny {
		n.deny(f, id)
		return netip.AddrPort{}, false
	}
	if !n.decideQuery(f, id) {
		return netip.AddrPort{}, false
	}
	if client.Echo && target.Addr().Is6() != f.V6() { // IPv4-mapped: ICMPv6 does not go there
		f.Drop(&n.stats.DropICMP)
		return netip.AddrPort{}, false
	}
	return target, true
}

// sourceAge is the time for which the answer about a client holds.
const sourceAge = time.Second

// maySend reports whether datagrams with the source address of a client are carried.
func (n *NAT) maySend(client netip.Addr, now time.Duration) bool {
	if client == n.source && now-n.sourced < sourceAge {
		return true
	}
	if client.IsLoopback() || client.Is4In6() || classE.Contains(client) ||
		thisNetwork.Contains(client) || !n.o.Sources(client) {
		return false
	}
	n.source, n.sourced = client, now
	return true
}

// Addresses that no packet has as its source (RFC 1122 §3.2.1.3, RFC 1112 §4).
var (
	thisNetwork = netip.MustParsePrefix("0.0.0.0/8")
	classE      = netip.MustParsePrefix("240.0.0.0/4")
)

var limitedBroadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255}) // RFC 919 §7

// leavesLink reports whether a router forwards packets with an address. An interface sends many
// that stay on its link, such as mDNS, DHCPv6 and router solicitations; they get no answer. Some
// hosts route IPv4 link-local addresses for services of their cloud, so policy decides on these.
func leavesLink(a netip.Addr) bool {
	a = a.Unmap()
	return !a.IsMulticast() && !a.IsUnspecified() && a != limitedBroadcast &&
		(a.Is4() || !a.IsLinkLocalUnicast())
}
