//go:build linux

package router

import (
	"net/netip"
	"slices"

	"syntap/cmd/internal/config"
	"syntap/stack/dial"
)

// onHost tells the programs of this host from the machines behind it, by their addresses. With
// connection tracking, programs keep the host's addresses, and the TUN's is for machines that are
// masqueraded.
func onHost(c *config.Config, host *dial.HostAddrs, byRules bool) func(netip.Addr) bool {
	return func(a netip.Addr) bool {
		own := func(p netip.Prefix) bool { return p.Addr() == a }
		return host.Contains(a) && (byRules || !slices.ContainsFunc(c.TUN.Addresses, own))
	}
}

// sources returns the test of tun.sources for an address: may it send into the TUN?
func sources(set config.AddressSet, host *dial.HostAddrs) func(netip.Addr) bool {
	ofHost := set.Has(config.Host)
	return func(a netip.Addr) bool {
		contains := func(p netip.Prefix) bool { return p.Contains(a) }
		return slices.ContainsFunc(set.Prefixes, contains) || ofHost && host.Contains(a)
	}
}

// within accepts the addresses of some subnets, and those that the kernel makes for the interface
// itself.
func within(ps []netip.Prefix) func(netip.Addr) bool {
	return func(a netip.Addr) bool {
		for _, p := range ps {
			if p.Contains(a) {
				return true
			}
		}
		return a.IsLinkLocalUnicast()
	}
}
