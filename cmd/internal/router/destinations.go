//go:build linux

package router

import (
	"net/netip"

	"syntap/cmd/internal/config"
	"syntap/stack/dial"
	"syntap/tun/flow"
)

// destinations resolves the words of the deny list, and gives each denial its reason. The subnets
// of the TUN are never dialled: no machine is there, and our packets would come back in.
func destinations(
	c *config.Config, host *dial.HostAddrs, local func(netip.Addr) bool, nameservers func() []netip.Addr,
) dial.Policy {
	denied := make(map[netip.Prefix]*flow.Decision)
	deny := func(ps []netip.Prefix, rule, reason string) []netip.Prefix {
		d := &flow.Decision{Deny: true, Rule: rule, Reason: rule + " " + reason}
		for _, p := range ps {
			denied[p] = d
		}
		return ps
	}
	const key = "egress.deny"
	p := dial.Policy{Allow: prefixes(c.Egress.Allow), Local: local, Resolvers: nameservers}
	p.Decisions.Denied = denied
	p.Decisions.Allowed = &flow.Decision{Rule: "egress.allow"}
	for _, a := range c.TUN.Addresses {
		subnet := []netip.Prefix{a.Masked()}
		p.Deny = append(p.Deny, deny(subnet, "tun.addresses", "has no machine in "+subnet[0].String())...)
	}
	for _, prefix := range c.Egress.Deny.Prefixes {
		p.Deny = append(p.Deny, deny([]netip.Prefix{prefix}, key, "forbids "+prefix.String())...)
	}
	for _, set := range namedSets {
		if c.Egress.Deny.Has(set.word) {
			p.Deny = append(p.Deny, deny(set.prefixes, key, "forbids "+set.word+" addresses")...)
		}
	}
	if c.Egress.Deny.Has(config.LinkLocalForwarded) {
		p.Forwarded = dial.LinkLocal
		if !c.Egress.Deny.Has(config.LinkLocal) {
			deny(p.Forwarded, key, "forbids link-local addresses to clients that are not programs of this host")
		}
	}
	if c.Egress.Deny.Has(config.Host) {
		p.Host = host
		p.Decisions.Host = &flow.Decision{Deny: true, Rule: key, Reason: key + " forbids addresses of this host"}
	}
	return p
}

// namedSets are the sets of addresses that have a word.
var namedSets = []struct {
	word     string
	prefixes []netip.Prefix
}{
	{config.Loopback, dial.Loopback}, {config.LinkLocal, dial.LinkLocal}, {config.Multicast, dial.Multicast},
}

// prefixes returns the prefixes of a set and of its words.
func prefixes(set config.AddressSet) []netip.Prefix {
	all := append([]netip.Prefix(nil), set.Prefixes...)
	for _, named := range namedSets {
		if set.Has(named.word) {
			all = append(all, named.prefixes...)
		}
	}
	return all
}
