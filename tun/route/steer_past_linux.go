package route

import (
	"golang.org/x/sys/unix"

	"syntap/tun/nft"
)

// past adds the chains for packets that should have entered the TUN and leave by another interface:
// the rules that lead to the TUN were deleted, or a program has bound its socket to the interface.
func (s *steering) past() {
	var count, bridged, past chainRules
	count.add(nft.CountUID(pastSet), nft.Return)
	count.add(nft.CountForwarded(pastForwardedSet))
	bridged.add(nft.AnyUID, nft.Return)
	bridged.add(nft.Accept)

	past.add(nft.NotMark(s.Underlay.Enter), nft.Accept)
	past.add(nft.To(s.Name), nft.Accept)
	past.add(nft.From(s.Name), nft.Accept)
	past.add(nft.To(s.guard()), nft.Accept)
	past.add(nft.ToBridge, nft.FromNone, nft.Jump("bridged"))
	for _, name := range s.Underlay.Detours {
		past.add(nft.To(name), nft.Jump("count_past"))
		past.add(nft.To(name), nft.Accept)
	}
	// A full set ends the rule that counts, so the verdict is in another rule.
	if s.Enforce != EnforceReject {
		past.add(nft.Jump("count_past"))
	} else {
		var queries chainRules
		queries.add(nft.CountUID(pastQueriesSet))
		queries.add(nft.Accept)
		s.chain("queries", nil, queries)
		past = append(past, linkRules()...)
		past.add(nft.Jump("count_past"))
		past.add(nft.Counter(), nft.Drop)
	}
	s.chain("count_past", nil, count)
	s.chain("bridged", nil, bridged)
	s.chain("past", filter("postrouting", lastPriority), past)
}

// queryPorts are those of DNS, and of DNS over TLS and QUIC: RFC 7858 §3.1, RFC 9250 §4.1.1.
var queryPorts = []uint16{53, 853}

// linkRules accept packets of address configuration and of resolvers, whose sockets are bound to a
// link.
func linkRules() (link chainRules) {
	// DHCP and DHCPv6, of clients and of relays. An ordinary user may bind a socket to a link, and
	// not to these ports.
	for _, ports := range [][2]uint16{{68, 67}, {67, 67}, {546, 547}, {547, 547}} {
		link.add(nft.Protocol(unix.IPPROTO_UDP), nft.SourcePort(ports[0]), nft.DestinationPort(ports[1]), nft.Accept)
	}
	for _, port := range queryPorts {
		link.add(nft.DestinationPort(port), nft.Destination4.In("resolvers4"), nft.Goto("queries"))
		link.add(nft.DestinationPort(port), nft.Destination6.In("resolvers6"), nft.Goto("queries"))
	}
	return link
}
