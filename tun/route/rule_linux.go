package route

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Priorities of the rules, from Config.Priority. With connection tracking there are ruleFirst,
// ruleMark, ruleVirtual and ruleEnd.
const (
	ruleFirst      = iota // with ByRules: marked packets go on with the host's rules
	ruleMark              // into the TUN, of packets that the nftables table has marked
	ruleVirtualOwn        // packets of the router's own sockets to the destinations of the next
	ruleVirtual           // into the TUN, of destinations that the host routes nowhere
	ruleNoSource          // with ByRules, as the next two: packets whose source is the TUN's or not chosen yet
	ruleSource            // packets of this host with another source
	ruleTable             // into the TUN
	ruleEnd               // where to go on with the host's rules
	ruleCount
)

// ruleFromTUN is the rule for packets that come out of the TUN, with ByRules.
const ruleFromTUN = ruleVirtual

// virtual is the range from which addresses are taken that stand for names (RFC 2544 §C.2.2).
var virtual = netip.MustParsePrefix("198.18.0.0/15")

// rules returns the rules of one address family that Config draws, in the order in which they are
// added: the one that sends traffic into the TUN comes last.
func rules(c Config, family int) []*netlink.Rule {
	end := c.Priority + ruleEnd
	rules := []*netlink.Rule{{Priority: ruleEnd, Type: nl.FR_ACT_NOP}}
	if c.ByRules {
		rules = append(rules, addressRules(c, family)...)
	} else {
		rules = append(rules, &netlink.Rule{Priority: ruleFirst, IifName: c.Name, Goto: end})
		if family == netlink.FAMILY_V4 && slices.ContainsFunc(included(c), func(p netip.Prefix) bool { return p.Bits() <= virtual.Bits() && p.Overlaps(virtual) }) {
			rules = append(rules,
				&netlink.Rule{Priority: ruleVirtualOwn, Dst: ipNet(virtual), Mark: c.Mark, Goto: end},
				&netlink.Rule{Priority: ruleVirtual, Dst: ipNet(virtual), Table: c.Table})
		}
		rules = append(rules, &netlink.Rule{Priority: ruleMark, Mark: c.Underlay.Enter, Table: c.Table})
	}
	for _, r := range rules {
		r.Priority += c.Priority
	}
	for _, s := range c.Underlay.Skips {
		if s.Family == family {
			rules = append(rules,
				&netlink.Rule{Priority: s.To, Type: nl.FR_ACT_NOP},
				&netlink.Rule{Priority: s.From - 1, Mark: c.Mark, Goto: s.To})
		}
	}
	for _, r := range rules {
		r.Family = family
		r.Flow, r.SuppressIfgroup, r.SuppressPrefixlen = -1, -1, -1 // none, for the netlink package
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
func addressRules(c Config, family int) []*netlink.Rule {
	end := c.Priority + ruleEnd
	rules := []*netlink.Rule{{Priority: ruleFirst, Mark: c.Mark, Goto: end}}
	for _, b := range c.Underlay.Bypass {
		rules = append(rules, &netlink.Rule{Priority: ruleFirst, Mark: b.Value, Mask: &b.Mask, Goto: end})
	}
	rules = append(rules, &netlink.Rule{Priority: ruleFromTUN, IifName: c.Name, Goto: end})
	for _, a := range c.Addresses {
		if a.Addr().Is4() == (family == netlink.FAMILY_V4) {
			host := netip.PrefixFrom(a.Addr(), a.Addr().BitLen())
			rules = append(rules, &netlink.Rule{Priority: ruleNoSource, Src: ipNet(host), Table: c.Table})
		}
	}
	if c.KeepInbound {
		rules = append(rules, sourceRules(c, family)...)
	}
	uids := enters(c.IncludeUIDs, c.ExcludeUIDs)
	for _, u := range uids {
		r := &netlink.Rule{Priority: ruleTable, Table: c.Table}
		if !everybody(uids) {
			r.UIDRange = netlink.NewRuleUIDRange(u.First, u.Last)
		}
		rules = append(rules, r)
	}
	return rules
}

// sourceRules let packets of this host that have a source already, other than the TUN's, go on with
// the host's rules. They take a different form in each family: IPv4 looks up a source not chosen
// yet as 0.0.0.0, and in IPv6 such a packet matches no source prefix at all, ::/0 excepted.
func sourceRules(c Config, family int) []*netlink.Rule {
	const lo = "lo" // where packets of this host come from
	end := c.Priority + ruleEnd
	if family == netlink.FAMILY_V4 {
		return []*netlink.Rule{
			{Priority: ruleNoSource, Src: ipNet(netip.MustParsePrefix("0.0.0.0/32")), IifName: lo, Goto: c.Priority + ruleTable},
			{Priority: ruleSource, IifName: lo, Goto: end},
		}
	}
	return []*netlink.Rule{
		{Priority: ruleSource, Src: ipNet(netip.MustParsePrefix("::/1")), IifName: lo, Goto: end},
		{Priority: ruleSource, Src: ipNet(netip.MustParsePrefix("8000::/1")), IifName: lo, Goto: end},
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
	case r.Type == nl.FR_ACT_NOP:
		return text + " nop"
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

// sameRule compares a rule that the kernel has listed with one of ours.
func sameRule(listed, ours netlink.Rule) bool {
	if listed.Mask != nil && *listed.Mask == 0xffffffff {
		listed.Mask = nil // what the kernel makes of a mark without a mask
	}
	listed.Type = ours.Type // the netlink package does not read it
	listed.Protocol = ours.Protocol
	return reflect.DeepEqual(listed, ours)
}

// checkRules returns an error when a priority of c holds a rule that is none of those of the
// configs known.
func checkRules(k *handles, c Config, known []Config, family int) error {
	var ours []*netlink.Rule
	for _, c := range known {
		ours = append(ours, rules(c, family)...)
	}
	found, err := dump(func() ([]netlink.Rule, error) { return k.RuleList(family) })
	if err != nil {
		return fmt.Errorf("list %s rules: %w", familyName(family), err)
	}
	for _, r := range found {
		if r.Priority < c.Priority || r.Priority >= c.Priority+ruleCount {
			continue
		}
		if !slices.ContainsFunc(ours, func(o *netlink.Rule) bool { return sameRule(r, *o) }) {
			return fmt.Errorf("%w: %s rule %s", ErrInUse, familyName(family), strings.TrimPrefix(ruleText(&r), "pref "))
		}
	}
	return nil
}
