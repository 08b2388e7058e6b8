package route

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const everyBit = 0xffffffff

// fwmark returns the test of a rule for the mark.
func fwmark(r netlink.Rule) (f Fwmark, ok bool) {
	f = Fwmark{r.Mark, everyBit}
	if r.Mask != nil {
		f.Mask = *r.Mask
	}
	return f, r.Mark != 0 || r.Mask != nil
}

// selects reports whether a rule selects packets with this mark, its other selectors aside.
func selects(r netlink.Rule, mark uint32) bool {
	f, ok := fwmark(r)
	if !ok {
		return !r.Invert
	}
	return (mark&f.Mask == f.Value) != r.Invert
}

// enterMark chooses the mark of packets on their way into the TUN. No rule tells it from the mark
// 0, so another router's mark is not free.
func (s *surveyor) enterMark() uint32 {
	// The first candidate is the mark in force, or a dead run's: the table and the rule that share
	// it cannot change at the same moment.
	mark, ok := s.freeMark(s.c.Underlay.Enter, s.c.Mark<<16, s.c.Mark<<8, ^s.c.Mark)
	if !ok {
		return s.c.Mark << 16
	}
	return mark
}

// freeMark returns the first candidate, or else the first single bit, that no rule tells from the
// mark 0 and the router's own sockets do not have.
func (s *surveyor) freeMark(candidates ...uint32) (mark uint32, ok bool) {
	for bit := 31; bit >= 0; bit-- {
		candidates = append(candidates, 1<<bit)
	}
	for _, mark := range candidates {
		distinguishes := func(r netlink.Rule) bool { return selects(r, mark) != selects(r, 0) }
		if mark != 0 && mark != s.c.Mark && !slices.ContainsFunc(s.rules, distinguishes) {
			return mark, true
		}
	}
	return 0, false
}

// isForRouter reports whether a rule selects the router's own sockets by their whole mark.
func (s *surveyor) isForRouter(r netlink.Rule) bool {
	f, ok := fwmark(r)
	return ok && f == Fwmark{s.c.Mark, everyBit}
}

// place returns the priority of the router's first rule, 0 for the config's. A rule without a
// priority, such as wg-quick's, gets the one before all others (Linux, net/core/fib_rules.c,
// fib_default_rule_pref). So rules of the host that end where the router's begin have come without
// one. The router's go before them, unless another rule is in the way, and return when the last is
// gone. Another router's rules do not end there: the last of them does nothing.
func (s *surveyor) place() int {
	host := make(map[int]bool)
	for _, r := range s.rules {
		host[r.Priority] = true
	}
	lowest := s.c.Priority
	begin := cmp.Or(s.c.Underlay.Left, s.c.priority())
	for p := lowest - 1; p >= begin || host[p]; p-- {
		if host[p] {
			lowest = p
		}
	}
	if lowest == s.c.Priority {
		return 0
	}
	first := lowest - ruleCount
	for p := first; p < lowest; p++ {
		if p < 1 || host[p] {
			return s.c.Underlay.Priority
		}
	}
	s.notify(Notice{
		Text: fmt.Sprintf("rules of the host have come without a priority, before %d: the router's "+
			"begin at %d, before them", s.c.Priority, first),
		Info: true,
	})
	return first
}

// noteBeside lets the sockets of other routers bypass the TUN: two routers whose sockets enter each
// other's TUN make a loop.
func (s *surveyor) noteBeside() {
	for _, other := range s.beside {
		s.bypass(Fwmark{other.Mark, everyBit})
		for _, p := range included(s.c) {
			if !slices.ContainsFunc(included(other), p.Overlaps) {
				continue
			}
			s.notify(Notice{
				Text: fmt.Sprintf("the router of %s is beside this one: destinations that both "+
					"include enter either TUN", other.Name),
				Hint: "keep their destinations apart with route.include and route.exclude",
			})
		}
	}
}

// isBeside reports whether a rule is another router's.
func (s *surveyor) isBeside(r netlink.Rule) bool {
	return slices.ContainsFunc(s.beside, func(c Config) bool { return c.hasPriority(r) })
}

// noteBypass notes the mark of a rule that exempts packets from a VPN.
func (s *surveyor) noteBypass(r netlink.Rule) {
	f, ok := fwmark(r)
	mainTable := r.Table == unix.RT_TABLE_MAIN || r.Table == unix.RT_TABLE_DEFAULT
	if ok && f.Value != 0 && (r.Invert || mainTable) && !s.isForRouter(r) {
		s.bypass(f)
	}
}

func (s *surveyor) bypass(f Fwmark) {
	if !slices.Contains(s.u.Bypass, f) {
		s.u.Bypass = append(s.u.Bypass, f)
	}
}

// noteRule notes the effect of a rule of the host on the router.
func (s *surveyor) noteRule(r netlink.Rule) {
	if s.isForRouter(r) || s.isBeside(r) || s.comesIn(r) {
		return
	}
	f, hasMark := fwmark(r)
	if selects(r, s.c.Mark) != selects(r, 0) && !s.noteOwnMark(r) {
		return
	}
	if r.Priority < s.c.priority() && selects(r, s.u.Enter) && s.detours(r) {
		return
	}
	byMark := hasMark && !selects(r, 0) && !slices.Contains(s.u.Bypass, f)
	if by := selector(r, byMark); by != "" {
		s.notify(Notice{
			Text: fmt.Sprintf("the host's rule %q selects by %s of a program or machine, which "+
				"the router's own sockets do not share: traffic that enters the TUN leaves as if "+
				"the rule were not there", ruleText(&r), by),
			Hint: "keep that traffic outside with route.exclude or route.exclude_uids, or bind " +
				"the router to an interface with egress.interface",
		})
	}
}

// noteOwnMark has the router's own sockets take the way that they would take without their mark,
// and reports whether it can. No rule comes before one of the priority 0.
func (s *surveyor) noteOwnMark(r netlink.Rule) bool {
	switch {
	case selects(r, s.c.Mark) && r.Priority > 0:
		s.u.Skips = append(s.u.Skips, Skip{r.Family, r.Priority, r.Priority + 1})
		return true
	case !selects(r, s.c.Mark) && isLookup(r):
		s.u.Ways = append(s.u.Ways, Way{r.Family, r.Priority, r.Table, r.SuppressPrefixlen})
		return true
	}
	n := Notice{Text: fmt.Sprintf("the host's rule %q tells the router's own sockets by bits of "+
		"their mark from those without one: they leave by another way", ruleText(&r))}
	if mark, ok := s.freeMark(s.c.Mark<<16, s.c.Mark<<8); ok {
		n.Hint = fmt.Sprintf("set route.mark to %#x", mark)
	}
	s.notify(n)
	return false
}

// isLookup reports whether a rule looks up a table for packets that it selects by their mark alone.
func isLookup(r netlink.Rule) bool {
	return r.Table != 0 && r.Goto <= 0 && r.Src == nil && r.Dst == nil && r.OifName == "" &&
		(r.IifName == "" || r.IifName == "lo") && r.UIDRange == nil && r.Sport == nil &&
		r.Dport == nil && r.IPProto == 0 && r.Tos == 0 && r.TunID == 0
}

// comesIn reports whether a rule selects packets from outside alone, which do not enter. Those of
// machines in Sources do, which a gateway with one link has behind its uplink.
func (s *surveyor) comesIn(r netlink.Rule) bool {
	from := func(u Uplink) bool { return u.Name == r.IifName }
	behind := func(source netip.Prefix) bool { return s.isBehind(r.IifName, source) }
	return s.c.KeepInbound && !r.Invert && slices.ContainsFunc(s.u.Uplinks, from) &&
		!slices.ContainsFunc(s.c.Sources, behind)
}

// isBehind reports whether the host has routes to parts of a network by an interface. A default
// route counts if the host has no other.
func (s *surveyor) isBehind(link string, network netip.Prefix) bool {
	byDefault, known := false, false
	for _, r := range s.routes {
		to := prefix(r.Dst, r.Family)
		if r.Type != unix.RTN_UNICAST || !to.Overlaps(network) {
			continue
		}
		by := slices.Contains(s.interfaces(r), link)
		switch isDefault := to.Bits() <= 1; {
		case isDefault:
			byDefault = byDefault || by
		case by:
			return true
		default:
			known = true
		}
	}
	return byDefault && !known
}

// selector names the property of the sender by which a rule selects a packet, "" if there is none.
func selector(r netlink.Rule, byMark bool) string {
	switch {
	case r.UIDRange != nil:
		return "the user"
	case r.IifName != "" && r.IifName != "lo":
		return "the interface"
	case r.Src != nil:
		return "the address"
	case byMark:
		return "the mark"
	}
	return ""
}

// detours notes the interfaces by which a rule before the router's own sends traffic that should
// have entered the TUN, and reports whether there are any such routes.
func (s *surveyor) detours(r netlink.Rule) bool {
	if r.Goto > 0 || r.Table == 0 {
		return false
	}
	var takes []string
	for _, route := range s.routes {
		ofTable := route.Family == r.Family && route.Table == r.Table
		if !ofTable || !finds(r, route) || !s.included(route.Dst, r.Family) {
			continue
		}
		if text := destinationText(route.Dst); !slices.Contains(takes, text) {
			takes = append(takes, text)
		}
		for _, name := range s.interfaces(route) {
			s.detour(name)
		}
	}
	if len(takes) == 0 {
		return false
	}
	const most = 3
	if n := len(takes); n > most {
		takes = append(takes[:most], fmt.Sprintf("%d more", n-most))
	}
	s.notify(Notice{
		Text: fmt.Sprintf("the host's rule %q comes before the router's own: its traffic to %s "+
			"goes past the TUN, unrecorded", ruleText(&r), strings.Join(takes, ", ")),
		Hint: fmt.Sprintf("set route.priority to %d or less", max(1, r.Priority-ruleCount)),
	})
	return true
}

// finds reports whether a rule's lookup in the table of a route may find it.
func finds(r netlink.Rule, route netlink.Route) bool {
	suppressed := r.SuppressPrefixlen >= 0 && prefixBits(route.Dst) <= r.SuppressPrefixlen
	return route.Type == unix.RTN_UNICAST && !suppressed
}

// included reports whether a destination of a route enters the TUN.
func (s *surveyor) included(dst *net.IPNet, family int) bool {
	return enters(s.c, prefix(dst, family))
}

func destinationText(n *net.IPNet) string {
	if prefixBits(n) == 0 {
		return "every destination"
	}
	return n.String()
}
