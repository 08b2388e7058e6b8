package route

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Reachable returns the destinations that a TUN is to stand for in place of the host, in the
// network namespace of the calling thread: what the host has routes to, in any table. A program
// that could take either family then meets the one that works.
//
//   - A family with a default route: all of it.
//   - A family without one, beside a family that has it: the prefixes that it has routes to.
//   - No default route at all: all of each family that has some route, or of both where none has.
//
// Routes to loopback, link-local and multicast destinations do not count, nor do those of links
// without a carrier, nor any of a family that the host has no address of to send from.
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

var (
	all4 = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	all6 = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
)

func reachable(routes4, routes6 []netip.Prefix) []netip.Prefix {
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

// routed returns the destinations of one family's unicast routes, each once.
func routed(family int) ([]netip.Prefix, error) {
	if ok, err := hasSource(family); err != nil || !ok {
		return nil, err
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return nil, fmt.Errorf("find interface lo: %w", err)
	}
	routes, err := dump(func() ([]netlink.Route, error) {
		return netlink.RouteListFiltered(family, &netlink.Route{Type: unix.RTN_UNICAST}, netlink.RT_FILTER_TYPE|netlink.RT_FILTER_TABLE)
	})
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	var all []netip.Prefix
	for _, r := range routes {
		p, ok := destination(r, family)
		down := r.Flags&(unix.RTNH_F_DEAD|unix.RTNH_F_LINKDOWN) != 0
		if !ok || down || r.LinkIndex == lo.Attrs().Index || slices.Contains(all, p) {
			continue
		}
		all = append(all, p)
	}
	return all, nil
}

// hasSource tells whether the host has an address of the family that holds beyond one link.
func hasSource(family int) (bool, error) {
	addrs, err := dump(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, family) })
	if err != nil {
		return false, fmt.Errorf("list addresses: %w", err)
	}
	return slices.ContainsFunc(addrs, func(a netlink.Addr) bool { return a.IP.IsGlobalUnicast() }), nil
}

// destination returns where a route leads to, and whether that lies beyond the host and its links.
func destination(r netlink.Route, family int) (netip.Prefix, bool) {
	p := all4
	if family == netlink.FAMILY_V6 {
		p = all6
	}
	if r.Dst != nil {
		a, ok := netip.AddrFromSlice(r.Dst.IP)
		bits, _ := r.Dst.Mask.Size()
		if !ok {
			return p, false
		}
		if p.Addr().Is4() {
			a = a.Unmap()
		}
		p = netip.PrefixFrom(a, bits).Masked()
	}
	a := p.Addr()
	return p, !a.IsLoopback() && !a.IsMulticast() && !a.IsLinkLocalUnicast()
}
