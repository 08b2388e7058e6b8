package tun

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// localOnly are the IPv4 destinations that no router forwards to an ordinary socket: multicast (RFC 1112 §4) and the
// limited broadcast (RFC 919 §7).
var localOnly = []netip.Prefix{netip.MustParsePrefix("224.0.0.0/4"), netip.MustParsePrefix("255.255.255.255/32")}

// route adds the routes and then the rules that lead to them.
func (h *Host) route(link netlink.Link, c HostConfig) error {
	for _, p := range c.Include {
		r := &netlink.Route{Dst: ipNet(p.Masked()), LinkIndex: link.Attrs().Index, Scope: unix.RT_SCOPE_LINK, Table: c.Table}
		if err := h.addRoute(fmt.Sprintf("add route %s dev %s table %d", p, c.Name, c.Table), r); err != nil {
			return err
		}
	}
	if c.Table == 0 {
		return nil
	}
	for _, p := range localOnly {
		if !needsThrow(c.Include, p) {
			continue
		}
		if err := h.addRoute(fmt.Sprintf("add throw route %s table %d", p, c.Table), throwRoute(p, c.Table)); err != nil {
			return err
		}
	}
	for _, family := range families(c.Include) {
		for _, r := range rules(c, family) {
			add := func() error { return h.nl.RuleAdd(r) }
			del := func() error { return h.nl.RuleDel(r) }
			if err := h.do("add "+ruleText(r), add, del); err != nil {
				return err
			}
		}
	}
	return nil
}

func (h *Host) addRoute(what string, r *netlink.Route) error {
	return h.do(what, func() error { return h.nl.RouteAdd(r) }, func() error { return h.nl.RouteDel(r) })
}

// needsThrow tells whether the routes of include would draw p in, other than by its own name.
func needsThrow(include []netip.Prefix, p netip.Prefix) bool {
	wider := func(q netip.Prefix) bool { return q.Overlaps(p) && q.Bits() < p.Bits() }
	return slices.ContainsFunc(include, wider) && !slices.Contains(include, p)
}

// throwRoute returns a route that ends the lookup in its table and goes on with the next rule.
func throwRoute(p netip.Prefix, table int) *netlink.Route {
	return &netlink.Route{Dst: ipNet(p), Table: table, Type: unix.RTN_THROW}
}

// rules returns the rules of one address family that HostConfig draws.
func rules(c HostConfig, family int) []*netlink.Rule {
	rules := []*netlink.Rule{
		{Mark: c.Mark, Type: nl.FR_ACT_TO_TBL, Table: unix.RT_TABLE_MAIN},
		{Mark: c.Mark, Type: nl.FR_ACT_TO_TBL, Table: unix.RT_TABLE_DEFAULT},
		{Mark: c.Mark, Type: nl.FR_ACT_UNREACHABLE},
		{IifName: c.Name, Type: nl.FR_ACT_TO_TBL, Table: unix.RT_TABLE_MAIN},
		{Type: nl.FR_ACT_TO_TBL, Table: c.Table},
	}
	for i, r := range rules {
		r.Family, r.Priority = family, c.Priority+i
		r.Goto, r.Flow, r.SuppressIfgroup, r.SuppressPrefixlen = -1, -1, -1, -1 // none, for the netlink package
	}
	return rules
}

// ruleText describes a rule as the ip command does.
func ruleText(r *netlink.Rule) string {
	text := fmt.Sprintf("%s rule %d: from all", familyName(r.Family), r.Priority)
	if r.Mark != 0 {
		text += fmt.Sprintf(" fwmark %#x", r.Mark)
	}
	if r.IifName != "" {
		text += " iif " + r.IifName
	}
	if r.Type == nl.FR_ACT_UNREACHABLE {
		return text + " unreachable"
	}
	return fmt.Sprintf("%s lookup %d", text, r.Table)
}

// families returns the address families that occur among prefixes.
func families(prefixes []netip.Prefix) []int {
	var families []int
	if slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Addr().Is4() }) {
		families = append(families, netlink.FAMILY_V4)
	}
	if slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Addr().Is6() }) {
		families = append(families, netlink.FAMILY_V6)
	}
	return families
}

func familyName(family int) string {
	if family == netlink.FAMILY_V6 {
		return "IPv6"
	}
	return "IPv4"
}
