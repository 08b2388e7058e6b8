package namespace

import (
	"net/netip"
	"slices"
)

// families returns those of the TUN's addresses whose family the host can reach something of, and
// the routes into the TUN: reachable, as far as there is an address for it. Where no address is
// left, all stay, with routes to everything.
func families(addresses, reachable []netip.Prefix) (kept, routes []netip.Prefix) {
	for _, a := range addresses {
		if ofFamily(reachable, a) != nil {
			kept = append(kept, a)
		}
	}
	if len(kept) == 0 {
		kept, reachable = addresses, nil
		for _, a := range addresses {
			reachable = append(reachable, netip.PrefixFrom(a.Addr(), 0).Masked())
		}
	}
	for _, r := range reachable {
		if ofFamily(kept, r) != nil && !slices.Contains(routes, r) {
			routes = append(routes, r)
		}
	}
	return kept, routes
}

// withRoutes adds more routes to those into the TUN, unless they have no address there or lead into
// it already.
func withRoutes(routes, more, addresses []netip.Prefix) []netip.Prefix {
	for _, m := range more {
		within := func(r netip.Prefix) bool { return r.Bits() <= m.Bits() && r.Contains(m.Addr()) }
		if ofFamily(addresses, m) != nil && !slices.ContainsFunc(routes, within) {
			routes = append(routes, m)
		}
	}
	return routes
}

// ofFamily returns the prefixes of the same family as p.
func ofFamily(prefixes []netip.Prefix, p netip.Prefix) []netip.Prefix {
	var same []netip.Prefix
	for _, q := range prefixes {
		if q.Addr().Is4() == p.Addr().Is4() {
			same = append(same, q)
		}
	}
	return same
}
