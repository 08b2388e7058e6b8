package route

import (
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Priorities of the rules, from Config.priority. With connection tracking there are ruleFirst,
// ruleMark, ruleVirtual and ruleEnd.
const (
	ruleFirst      = iota // packets from the TUN; with ByRules, those of the router's own sockets
	ruleMark              // packets that the nftables table has marked enter
	ruleVirtualOwn        // packets of the router's own sockets to the virtual range
	ruleVirtual           // packets to the virtual range enter: the host has no route for it
	ruleNoSource          // ByRules: packets without a source yet, or with the TUN's, enter
	ruleSource            // ByRules: packets of this host with another source
	ruleTable             // ByRules: all others enter
	ruleEnd               // the host's rules continue
	ruleCount
)

// ruleFromTUN is the rule for packets from the TUN, with ByRules.
const ruleFromTUN = ruleVirtual

// virtual is the range of the addresses that stand for names (RFC 2544 §C.2.2).
var virtual = netip.MustParsePrefix("198.18.0.0/15")

// rules returns the rules of one address family, as Config draws them, in the order in which they
// are added. With ByRules the ones that send traffic into the TUN come last.
func rules(c Config, family int) []*netlink.Rule {
	end := c.priority() + ruleEnd
	rules := []*netlink.Rule{{Priority: ruleEnd, Type: nl.FR_ACT_NOP}}
	if c.ByRules {
		rules = append(rules, addressRules(c, family)...)
	} else {
		rules = append(rules, &netlink.Rule{Priority: ruleFirst, IifName: c.Name, Goto: end})
		if to := ipNet(virtual); family == netlink.FAMILY_V4 && covered(virtual, included(c)) {
			rules = append(rules,
				&netlink.Rule{Priority: ruleVirtualOwn, Dst: to, Mark: c.Mark, Goto: end},
				&netlink.Rule{Priority: ruleVirtual, Dst: to, Table: c.Table})
		}
		enter := &netlink.Rule{Priority: ruleMark, Mark: c.Underlay.Enter, Table: c.Table}
		rules = append(rules, enter)
	}
	for _, r := range rules {
		r.Priority += c.priority()
	}
	for _, s := range c.Underlay.Skips {
		if s.Family == family {
			rules = append(rules,
				&netlink.Rule{Priority: s.To, Type: nl.FR_ACT_NOP},
				&netlink.Rule{Priority: s.From - 1, Mark: c.Mark, Goto: s.To})
		}
	}
	for _, r := range rules {
		r.SuppressPrefixlen = -1
	}
	for _, w := range c.Underlay.Ways {
		if w.Family == family {
			rules = append(rules, &netlink.Rule{
				Priority: w.Priority, Mark: c.Mark, Table: w.Table,
				SuppressPrefixlen: w.SuppressPrefixLength,
			})
		}
	}
	for _, r := range rules {
		r.Family = family
		r.Flow, r.SuppressIfgroup = -1, -1 // the netlink package takes -1 for absent
		switch {
		case r.Goto != 0:
			r.Type = nl.FR_ACT_GOTO
		case r.Type == 0:
			r.Type = nl.FR_ACT_TO_TBL
		}
		if r.Goto == 0 {
			r.Goto = -1
		}
	}
	return rules
}

// addressRules decide by source addresses.
func addressRules(c Config, family int) (rules []*netlink.Rule) {
	add := func(r netlink.Rule) { rules = append(rules, &r) }
	end := c.priority() + ruleEnd
	add(netlink.Rule{Priority: ruleFirst, Mark: c.Mark, Goto: end})
	for _, b := range c.Underlay.Bypass {
		add(netlink.Rule{Priority: ruleFirst, Mark: b.Value, Mask: &b.Mask, Goto: end})
	}
	add(netlink.Rule{Priority: ruleFromTUN, IifName: c.Name, Goto: end})
	for _, a := range c.Addresses {
		if a.Addr().Is4() == (family == netlink.FAMILY_V4) {
			host := netip.PrefixFrom(a.Addr(), a.Addr().BitLen())
			add(netlink.Rule{Priority: ruleNoSource, Src: ipNet(host), Table: c.Table})
		}
	}
	if c.KeepInbound {
		rules = append(rules, sourceRules(c, family)...)
	}
	uids := enteringUIDs(c.IncludeUIDs, c.ExcludeUIDs)
	for _, u := range uids {
		r := netlink.Rule{Priority: ruleTable, Table: c.Table}
		if !allUIDs(uids) {
			r.UIDRange = netlink.NewRuleUIDRange(u.First, u.Last)
		}
		add(r)
	}
	return rules
}

// sourceRules leave packets of this host that have another source than the TUN's to the host's
// rules. Their form depends on the family. In a lookup before the source is chosen, an IPv4 packet
// has the source 0.0.0.0; an IPv6 packet matches no source prefix except ::/0.
func sourceRules(c Config, family int) []*netlink.Rule {
	const lo = "lo" // the incoming interface of this host's own packets
	from := func(s string) *net.IPNet { return ipNet(netip.MustParsePrefix(s)) }
	end := c.priority() + ruleEnd
	if family == netlink.FAMILY_V4 {
		none, enter := from("0.0.0.0/32"), c.priority()+ruleTable
		return []*netlink.Rule{
			{Priority: ruleNoSource, Src: none, IifName: lo, Goto: enter},
			{Priority: ruleSource, IifName: lo, Goto: end},
		}
	}
	return []*netlink.Rule{
		{Priority: ruleSource, Src: from("::/1"), IifName: lo, Goto: end},
		{Priority: ruleSource, Src: from("8000::/1"), IifName: lo, Goto: end},
	}
}

func ruleStep(r *netlink.Rule) step {
	return step{
		command: ipCommand(r.Family) + " rule add " + ruleText(r),
		watched: true,
		apply:   func(k *handles) error { return k.RuleAdd(r) },
		undo:    func(k *handles) error { return k.RuleDel(r) },
	}
}

// ruleText describes a rule as the ip command does.
func ruleText(r *netlink.Rule) string {
	text := fmt.Sprintf("pref %d", r.Priority)
	if r.Invert {
		text += " not"
	}
	if r.Src != nil {
		text += " from " + r.Src.String()
	}
	if r.Dst != nil {
		text += " to " + r.Dst.String()
	}
	if f, ok := fwmark(*r); ok {
		text += fmt.Sprintf(" fwmark %#x", f.Value)
		if f.Mask != 0xffffffff {
			text += fmt.Sprintf("/%#x", f.Mask)
		}
	}
	if r.IifName != "" {
		text += " iif " + r.IifName
	}
	if r.UIDRange != nil {
		text += fmt.Sprintf(" uidrange %d-%d", r.UIDRange.Start, r.UIDRange.End)
	}
	switch {
	case r.Goto > 0:
		return fmt.Sprintf("%s goto %d", text, r.Goto)
	case r.Type == nl.FR_ACT_UNREACHABLE:
		return text + " unreachable"
	case r.Type == nl.FR_ACT_BLACKHOLE:
		return text + " blackhole"
	case r.Type == nl.FR_ACT_PROHIBIT:
		return text + " prohibit"
	case r.Type == nl.FR_ACT_NOP:
		return text + " nop"
	case r.Table == 0:
		return text // the netlink package reads no types
	}
	table := map[int]string{unix.RT_TABLE_MAIN: "main", unix.RT_TABLE_DEFAULT: "default"}[r.Table]
	if table == "" {
		table = fmt.Sprint(r.Table)
	}
	text += " lookup " + table
	if r.SuppressPrefixlen >= 0 {
		text += fmt.Sprintf(" suppress_prefixlength %d", r.SuppressPrefixlen)
	}
	return text
}

// sameRule compares a rule that the kernel has listed with one that rules returns.
func sameRule(listed, own netlink.Rule) bool {
	if listed.Mask != nil && *listed.Mask == 0xffffffff {
		listed.Mask = nil // the kernel adds this mask to a mark without one
	}
	listed.Type = own.Type // the netlink package does not read it
	listed.Protocol = own.Protocol
	return reflect.DeepEqual(listed, own)
}

// checkRules returns an error if a priority of c, or one that its rules return to, holds a rule of
// another owner than the configs known.
func checkRules(k *handles, c Config, known []Config, family int) error {
	var own []*netlink.Rule
	for _, c := range known {
		own = append(own, rules(c, family)...)
	}
	found, err := dump(func() ([]netlink.Rule, error) { return k.RuleList(family) })
	if err != nil {
		return fmt.Errorf("list %s rules: %w", familyName(family), err)
	}
	configured := c
	configured.Underlay.Priority = 0
	for _, r := range found {
		if !c.hasPriority(r) && !configured.hasPriority(r) {
			continue
		}
		if !slices.ContainsFunc(own, func(o *netlink.Rule) bool { return sameRule(r, *o) }) {
			text := strings.TrimPrefix(ruleText(&r), "pref ")
			return &InUseError{
				By:       familyName(family) + " rule " + text,
				Priority: freePriority(k, c),
			}
		}
	}
	return nil
}

// freePriority returns a priority from which on a run finds all free that it takes, 0 if there is
// none. One before the present is preferred, because the rules in between would come before the
// router's own.
func freePriority(k *handles, c Config) int {
	var used [priorities + ruleCount]bool
	for _, family := range allFamilies() {
		rules, err := dump(func() ([]netlink.Rule, error) { return k.RuleList(family) })
		if err != nil {
			return 0
		}
		for _, r := range rules {
			used[min(r.Priority, priorities)] = true
		}
	}
	isFree := func(p int) bool { return !slices.Contains(used[p:p+ruleCount], true) }
	for p := min(c.Priority, priorities) - 1; p > 0; p-- {
		if isFree(p) {
			return p
		}
	}
	for p := c.Priority + 1; p+ruleCount <= priorities; p++ {
		if isFree(p) {
			return p
		}
	}
	return 0
}

// priorities is that of the host's rule for its main table: a rule behind it decides nothing.
const priorities = 32766
