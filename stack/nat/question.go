//go:build linux

package nat

import (
	"encoding/binary"
	"net/netip"

	"syntap/stack/inspect"
	"syntap/stack/nat/gso"
	"syntap/tun"
	tunflow "syntap/tun/flow"
	"syntap/tun/packet"
)

// noQuery denies a datagram to a nameserver that only DNS queries may go to.
var noQuery = &tunflow.Decision{
	Deny: true, Rule: "default", Reason: "no rule allows it, and it is no DNS query",
}

// decideQuery decides on a datagram to port 53 by the names in its question. It reports whether the
// datagram may leave; otherwise it is counted and answered.
func (n *NAT) decideQuery(f *gso.Frame, id *identity) bool {
	dns := !id.client.Echo && id.key.Server.Port() == inspect.PortDNS
	if !dns || id.ruling == nil || n.o.Question == nil {
		return true
	}
	onlyDNS := id.decision.OnlyDNS
	if !onlyDNS && !id.ruling.Names {
		return true
	}
	if id.query == nil {
		if onlyDNS {
			id.decision = noQuery
			n.deny(f, id)
		}
		return !onlyDNS
	}
	d := n.o.Question(id.client.AddrPort, id.key.Server, id.query)
	if !d.Deny {
		if onlyDNS && d.Rule != id.decision.Rule {
			// It may leave for the name's sake. The nameserver itself is none that only a name
			// allows.
			id.decision = &tunflow.Decision{Rule: d.Rule, OnlyDNS: true}
		}
		return true
	}
	id.decision = d
	if n.recordDenied(f, id) {
		f.Drop(&n.stats.DropDenied)
		n.block(f, id)
	}
	return false
}

// block answers a query in the place of its server.
func (n *NAT) block(f *gso.Frame, id *identity) {
	response := n.o.Blocked(f.Datagram(0, &n.message))
	if response == nil {
		n.reject(f, id.unsent, packet.ICMPProhibited, packet.ICMPv6Prohibited)
		return
	}
	b := datagramTo(id.client.AddrPort, id.key.Server, response)
	off := tun.Offload{
		Flags: tun.NeedsCsum, CsumStart: uint16(packet.HeaderLen(id.client.Addr())), CsumOffset: 6,
	}
	n.answerBefore(id.unsent, func() {
		if n.router.WriteInbound(off, [][]byte{b}) != nil {
			n.stats.DropInbound.Add(1)
		}
	})
}

// datagramTo returns the packet of a datagram to a client, with a checksum of the pseudo-header
// alone.
func datagramTo(client, server netip.AddrPort, payload []byte) []byte {
	ipLen := packet.HeaderLen(client.Addr())
	b := make([]byte, ipLen+packet.UDPHeaderLen+len(payload))
	ip := packet.IP{
		Src: server.Addr(), Dst: client.Addr(), Proto: packet.ProtoUDP,
		HopLimit: packet.DefaultHopLimit, DF: true,
	}
	ip.Put(b)
	u := b[ipLen:]
	putUDP(u, server, client)
	copy(u[packet.UDPHeaderLen:], payload)
	src, dst := server.Addr().AsSlice(), client.Addr().AsSlice()
	binary.BigEndian.PutUint16(u[6:], packet.PseudoHeaderSum(packet.ProtoUDP, src, dst, len(u)))
	return b
}

// asksNames reports whether the DNS queries of clients are looked at.
func (n *NAT) asksNames() bool { return n.recorder != nil || n.o.Question != nil }

// readQuery returns the DNS query that a frame to port 53 holds, nil if there is none.
func (n *NAT) readQuery(f *gso.Frame) *tunflow.DNS {
	d, ok := inspect.DNS(f.Datagram(0, &n.message))
	if !ok || d.Response || len(d.Queries) == 0 {
		return nil
	}
	return d
}
