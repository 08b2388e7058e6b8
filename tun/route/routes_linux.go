package route

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// localOnly are the destinations that no router forwards to an ordinary socket: multicast (RFC 1112
// §4, RFC 4291 §2.7), the limited broadcast (RFC 919 §7), and IPv6 link-local addresses, which are
// ambiguous without their link (RFC 4007 §9).
var localOnly = []netip.Prefix{
	netip.MustParsePrefix("224.0.0.0/4"), netip.MustParsePrefix("255.255.255.255/32"),
	netip.MustParsePrefix("ff00::/8"), netip.MustParsePrefix("fe80::/10"),
}

// guardMetric ranks the guard's routes below the TUN's, which have the kernel's default. It fits an
// int of 32 bits, in which the netlink package has metrics.
const guardMetric = 0x7f000000

// routeSteps returns the routes: those that keep traffic out first, those that send it into the TUN
// last.
func routeSteps(c Config) []step {
	var steps []step
	included := included(c)
	if c.Table != 0 {
		for _, p := range throws(c) {
			r := netlink.Route{Dst: ipNet(p), Table: c.Table, Type: unix.RTN_THROW}
			steps = append(steps, routeStep(r, ""))
		}
		for _, p := range included {
			if !c.Closed {
				break
			}
			r := netlink.Route{Dst: ipNet(p), Table: c.Table, Priority: guardMetric}
			if a, ok := c.address(p); ok && a.Is4() {
				r.Src = a.AsSlice() // for IPv6 the guard has the address: see guardSteps
			}
			steps = append(steps, routeStep(r, c.guard()))
		}
	}
	for _, p := range included {
		steps = append(steps, routeStep(netlink.Route{Dst: ipNet(p), Table: c.Table}, c.Name))
	}
	return steps
}

// routeStep adds a route to the interface link; "" is for a route without one. An IPv4 route has
// global scope, although it ends at the link. When the operator adds a route by a gateway and names
// no interface, the kernel looks the gateway up among routes of link scope by all rules, and must
// not find it in the TUN.
func routeStep(r netlink.Route, link string) step {
	fit := func(k *handles) (netlink.Route, error) {
		r := r
		if link == "" {
			return r, nil
		}
		l, err := k.LinkByName(link)
		if err == nil {
			r.LinkIndex = l.Attrs().Index
		}
		return r, err
	}
	return step{
		command: routeText(r, link),
		watched: true,
		apply: func(k *handles) error {
			r, err := fit(k)
			if err != nil {
				return err
			}
			return k.RouteAdd(&r)
		},
		undo: func(k *handles) error {
			r, err := fit(k)
			if err != nil {
				return err
			}
			return k.RouteDel(&r)
		},
	}
}

func routeText(r netlink.Route, link string) string {
	text := ipCommand(familyOf(r.Dst)) + " route add "
	if r.Type == unix.RTN_THROW {
		text += "throw "
	}
	if ones, _ := r.Dst.Mask.Size(); ones == 0 {
		text += "default"
	} else {
		text += r.Dst.String()
	}
	if link != "" {
		text += " dev " + link
	}
	if r.Src != nil {
		text += " src " + r.Src.String()
	}
	if r.Priority != 0 {
		text += fmt.Sprintf(" metric %d", r.Priority)
	}
	if link != "" && familyOf(r.Dst) == netlink.FAMILY_V4 {
		text += " scope global"
	}
	if r.Table != 0 {
		text += fmt.Sprintf(" table %d", r.Table)
	}
	return text
}

// included returns the prefixes that are routed into the TUN: those of Include that Exclude does
// not cover.
func included(c Config) []netip.Prefix {
	var left []netip.Prefix
	for _, p := range c.Include {
		if !covered(p, c.Exclude) {
			left = append(left, p.Masked())
		}
	}
	return left
}

// throws returns the prefixes within included ones that stay outside. A throw route ends the lookup
// in its table, and the next rule decides.
func throws(c Config) []netip.Prefix {
	included := included(c)
	var out []netip.Prefix
	for _, p := range slices.Concat(c.Exclude, localOnly) {
		p = p.Masked()
		if covered(p, included) && !slices.Contains(included, p) && !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

// enters reports whether packets to a destination, or to parts of it, enter the TUN.
func enters(c Config, destination netip.Prefix) bool {
	return slices.ContainsFunc(included(c), destination.Overlaps) && !covered(destination, throws(c))
}

// checkTable returns an error if the table of c holds a route of another owner than the configs
// known. A route to the TUN is such a route: a dead run's have gone with its interface.
func checkTable(k *handles, c Config, known []Config, family int) error {
	routes, err := dump(func() ([]netlink.Route, error) {
		return k.RouteListFiltered(family, &netlink.Route{Table: c.Table}, netlink.RT_FILTER_TABLE)
	})
	if err != nil {
		return fmt.Errorf("list %s routes of table %d: %w", familyName(family), c.Table, err)
	}
	var thrown []string
	for _, c := range known {
		for _, p := range throws(c) {
			thrown = append(thrown, p.String())
		}
	}
	guard := 0
	if l, err := k.LinkByName(c.guard()); err == nil {
		guard = l.Attrs().Index
	}
	for _, r := range routes {
		switch {
		case r.Type == unix.RTN_THROW && slices.Contains(thrown, r.Dst.String()):
		case r.LinkIndex == guard && guard != 0:
		default:
			to := "nowhere"
			if l, err := k.LinkByIndex(r.LinkIndex); err == nil {
				to = "to interface " + l.Attrs().Name
			}
			return &InUseError{
				By:    fmt.Sprintf("table %d routes %s %s", c.Table, r.Dst, to),
				Table: freeTable(k, c),
			}
		}
	}
	return nil
}

// freeTable returns the number of a routing table that has neither routes nor rules, 0 if that is
// not known.
func freeTable(k *handles, c Config) int {
	used := make(map[int]bool)
	for _, family := range allFamilies() {
		all := netlink.Route{Table: unix.RT_TABLE_UNSPEC}
		err := k.RouteListFilteredIter(family, &all, netlink.RT_FILTER_TABLE, func(r netlink.Route) bool {
			used[r.Table] = true
			return true
		})
		rules, ruleErr := dump(func() ([]netlink.Rule, error) { return k.RuleList(family) })
		if errors.Join(err, ruleErr) != nil {
			return 0
		}
		for _, r := range rules {
			used[r.Table] = true
		}
	}
	for _, other := range routersBeside(c) {
		used[other.Table] = true
	}
	isFree := func(table int) bool {
		sameLabel := func(other Config) bool { return other.label() == (Config{Table: table}).label() }
		return !used[table] && !slices.ContainsFunc(routersBeside(c), sameLabel)
	}
	for table := c.Table + 1; table < c.Table+maxTables; table++ {
		if isFree(table) {
			return table
		}
	}
	return 0
}

// maxTables is how many routing tables are looked at for one that is free.
const maxTables = 1 << 12
