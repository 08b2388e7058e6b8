package route

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Reachable returns the destinations to which the host has routes, in any table, in the network
// namespace of the calling thread. A TUN with exactly these routes stands for the host: a program
// that can choose between the families then meets the one that works.
//
//   - A family with a default route: all of it.
//   - A family without one, beside a family that has it: the prefixes of its routes.
//   - A family with very many routes: all of it.
//   - No default route at all: all of each family that has some route, or of both if none has.
//
// Routes to loopback, link-local and multicast destinations do not count, nor do those of links
// without a carrier, nor any of a family in which the host has no address to send from.
func Reachable() ([]netip.Prefix, error) {
	routes4, err := routed(netlink.FAMILY_V4)
	if err != nil {
		return nil, err
	}
	var routes6 []netip.Prefix
	if hasIPv6() {
		if routes6, err = routed(netlink.FAMILY_V6); err != nil {
			return nil, err
		}
	}
	return reachable(routes4, routes6), nil
}

func reachable(routes4, routes6 []netip.Prefix) []netip.Prefix {
	all4, all6 := everyDestination(netlink.FAMILY_V4), everyDestination(netlink.FAMILY_V6)
	default4, default6 := slices.Contains(routes4, all4), slices.Contains(routes6, all6)
	switch {
	case default4 && default6, len(routes4) == 0 && len(routes6) == 0:
		return []netip.Prefix{all4, all6}
	case default4:
		return append([]netip.Prefix{all4}, routes6...)
	case default6:
		return append(routes4, all6)
	case len(routes6) == 0:
		return []netip.Prefix{all4}
	case len(routes4) == 0:
		return []netip.Prefix{all6}
	}
	return []netip.Prefix{all4, all6}
}

// maxReachable is the number of destinations from which on a host has them all: that of a router
// of the Internet, which needs no default route.
const maxReachable = 1024

// routed returns the destinations of one family's unicast routes, each once.
func routed(family int) ([]netip.Prefix, error) {
	if ok, err := hasSource(family); err != nil || !ok {
		return nil, err
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return nil, fmt.Errorf("find interface lo: %w", err)
	}
	unicast := netlink.Route{Type: unix.RTN_UNICAST}
	all, err := dump(func() (all []netip.Prefix, err error) {
		const fields = netlink.RT_FILTER_TYPE | netlink.RT_FILTER_TABLE
		known := make(map[netip.Prefix]bool)
		err = netlink.RouteListFilteredIter(family, &unicast, fields, func(r netlink.Route) bool {
			p, ok := destination(r, family)
			down := r.Flags&(unix.RTNH_F_DEAD|unix.RTNH_F_LINKDOWN) != 0
			if ok && !down && r.LinkIndex != lo.Attrs().Index && !known[p] {
				known[p], all = true, append(all, p)
			}
			return len(all) <= maxReachable
		})
		return all, err
	})
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	if len(all) > maxReachable {
		return []netip.Prefix{everyDestination(family)}, nil
	}
	return all, nil
}

// hasSource reports whether the host has an address of the family that is valid beyond one link.
func hasSource(family int) (bool, error) {
	addrs, err := dump(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, family) })
	if err != nil {
		return false, fmt.Errorf("list addresses: %w", err)
	}
	isGlobal := func(a netlink.Addr) bool { return a.IP.IsGlobalUnicast() }
	return slices.ContainsFunc(addrs, isGlobal), nil
}

// destination returns the destination of a route, and whether it lies beyond the host and its
// links.
func destination(r netlink.Route, family int) (netip.Prefix, bool) {
	p := prefix(r.Dst, family).Masked()
	a := p.Addr()
	return p, p.IsValid() && !a.IsLoopback() && !a.IsMulticast() && !a.IsLinkLocalUnicast()
}
