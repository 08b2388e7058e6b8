package route

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// survey reads the underlay, and finds what the operator should know of it.
func survey(k *handles, c Config) (Underlay, []Notice, error) {
	s := surveyor{k: k, c: c, beside: routersBeside(c), links: make(map[int]string)}
	links, err := dump(k.LinkList)
	if err != nil {
		return Underlay{}, nil, fmt.Errorf("list interfaces: %w", err)
	}
	for _, l := range links {
		s.links[l.Attrs().Index] = l.Attrs().Name
		s.noteTunnel(l)
	}
	for _, family := range allFamilies() {
		if err := s.read(family); err != nil {
			return Underlay{}, nil, err
		}
	}
	s.u.Enter = s.enterMark()
	s.noteBeside()
	for _, r := range s.rules {
		s.noteBypass(r)
	}
	for _, r := range s.rules {
		if slices.Contains(families(c.Include), r.Family) {
			s.consider(r)
		}
	}
	s.findUplinks()
	s.joinSkips()
	return s.u, s.notices, nil
}

type surveyor struct {
	k       *handles
	c       Config
	beside  []Config       // other routers
	links   map[int]string // names by index
	rules   []netlink.Rule // of the host, in order of family and priority
	routes  []netlink.Route
	u       Underlay
	notices []Notice
}

// read lists the host's own rules and routes of a family.
func (s *surveyor) read(family int) error {
	rules, err := dump(func() ([]netlink.Rule, error) { return s.k.RuleList(family) })
	if err != nil {
		return fmt.Errorf("list %s rules: %w", familyName(family), err)
	}
	for _, r := range rules {
		r.Family = family
		if r.Table != unix.RT_TABLE_LOCAL && !s.isOurs(r) {
			s.rules = append(s.rules, r)
		}
	}
	routes, err := dump(func() ([]netlink.Route, error) {
		return s.k.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
	})
	if err != nil {
		return fmt.Errorf("list %s routes: %w", familyName(family), err)
	}
	for _, r := range routes {
		name := s.links[r.LinkIndex]
		if r.Table != unix.RT_TABLE_LOCAL && r.Table != s.c.Table && name != s.c.Name && name != s.c.guard() {
			s.routes = append(s.routes, r)
		}
	}
	return nil
}

// isOurs tells whether a rule is one that the router makes, or does nothing.
func (s *surveyor) isOurs(r netlink.Rule) bool {
	return r.Priority >= s.c.Priority && r.Priority < s.c.Priority+ruleCount ||
		r.Goto > 0 && r.Mark == s.c.Mark || // of a skip
		r.Type == nl.FR_ACT_NOP
}

// fwmark returns what a rule compares the mark with.
func fwmark(r netlink.Rule) (f Fwmark, ok bool) {
	f = Fwmark{r.Mark, 0xffffffff}
	if r.Mask != nil {
		f.Mask = *r.Mask
	}
	return f, r.Mark != 0 || r.Mask != nil
}

// selects tells whether a rule fits a packet with this mark, as far as the mark goes.
func selects(r netlink.Rule, mark uint32) bool {
	f, ok := fwmark(r)
	if !ok {
		return !r.Invert
	}
	return (mark&f.Mask == f.Value) != r.Invert
}

// enterMark chooses the mark of packets on their way into the TUN: none that a rule would take for
// another, such as one of a second router beside this one.
func (s *surveyor) enterMark() uint32 {
	free := func(mark uint32) bool {
		return mark != 0 && mark != s.c.Mark && !slices.ContainsFunc(s.rules, func(r netlink.Rule) bool {
			return selects(r, mark) != selects(r, 0)
		})
	}
	// The one in force, or of a dead run, is kept: the table and the rule that goes with it change
	// one after the other.
	for _, mark := range []uint32{s.c.Underlay.Enter, s.c.Mark << 16, s.c.Mark << 8, ^s.c.Mark} {
		if free(mark) {
			return mark
		}
	}
	for bit := 31; bit >= 0; bit-- {
		if free(1 << bit) {
			return 1 << bit
		}
	}
	return s.c.Mark << 16
}

// ofRouter tells whether a rule was made for the router's own sockets.
func (s *surveyor) ofRouter(r netlink.Rule) bool {
	f, ok := fwmark(r)
	return ok && f.Value == s.c.Mark && f.Mask == 0xffffffff
}

// noteBeside lets the sockets of other routers pass: if one's packets entered another's TUN, and
// the other way round, they would go round between the two.
func (s *surveyor) noteBeside() {
	for _, other := range s.beside {
		if f := (Fwmark{other.Mark, 0xffffffff}); !slices.Contains(s.u.Bypass, f) {
			s.u.Bypass = append(s.u.Bypass, f)
		}
		if slices.ContainsFunc(included(s.c), func(p netip.Prefix) bool { return slices.ContainsFunc(included(other), p.Overlaps) }) {
			s.notify(Notice{
				Text: fmt.Sprintf("the router of %s is beside this one: what both include enters either TUN", other.Name),
				Hint: "keep their destinations apart with route.include and route.exclude",
			})
		}
	}
}

// isBeside tells whether a rule is one of another router.
func (s *surveyor) isBeside(r netlink.Rule) bool {
	return slices.ContainsFunc(s.beside, func(c Config) bool { return r.Priority >= c.Priority && r.Priority < c.Priority+ruleCount })
}

// noteBypass notes the mark that a rule lets past a VPN.
func (s *surveyor) noteBypass(r netlink.Rule) {
	f, ok := fwmark(r)
	exempts := r.Invert || r.Table == unix.RT_TABLE_MAIN || r.Table == unix.RT_TABLE_DEFAULT
	if ok && exempts && f.Value != 0 && !s.ofRouter(r) && !slices.Contains(s.u.Bypass, f) {
		s.u.Bypass = append(s.u.Bypass, f)
	}
}

// consider notes what a rule of the host means to the router.
func (s *surveyor) consider(r netlink.Rule) {
	if s.ofRouter(r) || s.isBeside(r) {
		return
	}
	f, hasMark := fwmark(r)
	if hasMark && selects(r, s.c.Mark) && !selects(r, 0) {
		s.u.Skips = append(s.u.Skips, Skip{r.Family, r.Priority, r.Priority + 1})
	}
	if r.Priority < s.c.Priority && selects(r, s.u.Enter) && s.detours(r) {
		return
	}
	if by := selector(r, hasMark && !slices.Contains(s.u.Bypass, f)); by != "" {
		s.notify(Notice{
			Text: fmt.Sprintf("the host's rule %q selects by %s of a program or machine, which the router's own sockets do not share: "+
				"traffic that enters the TUN leaves as if the rule were not there", ruleText(&r), by),
			Hint: "keep that traffic outside with route.exclude or route.exclude_uids, or bind the router to an interface with egress.interface",
		})
	}
}

// notify adds a notice. Rules of both families may give the same.
func (s *surveyor) notify(n Notice) {
	if !slices.Contains(s.notices, n) {
		s.notices = append(s.notices, n)
	}
}

// selector names by what of its sender a rule selects a packet.
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

// detours notes where a rule before ours sends traffic that should have entered the TUN, and
// reports whether it does.
func (s *surveyor) detours(r netlink.Rule) bool {
	if r.Goto > 0 || r.Table == 0 {
		return false
	}
	var takes []string
	for _, route := range s.routes {
		if route.Family != r.Family || route.Table != r.Table || !fits(r, route) || !s.included(route.Dst, r.Family) {
			continue
		}
		takes = append(takes, destinationText(route.Dst))
		for _, name := range s.interfaces(route) {
			if !slices.Contains(s.u.Detours, name) {
				s.u.Detours = append(s.u.Detours, name)
			}
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
		Text: fmt.Sprintf("the host's rule %q comes before the router's own: its traffic to %s goes past the TUN, unrecorded",
			ruleText(&r), strings.Join(takes, ", ")),
		Hint: fmt.Sprintf("set route.priority to %d or less", max(1, r.Priority-ruleCount)),
	})
	return true
}

// fits tells whether a route is one that a rule's lookup may find.
func fits(r netlink.Rule, route netlink.Route) bool {
	if route.Type != unix.RTN_UNICAST {
		return false
	}
	bits := 0
	if route.Dst != nil {
		bits, _ = route.Dst.Mask.Size()
	}
	return r.SuppressPrefixlen < 0 || bits > r.SuppressPrefixlen
}

// included tells whether any destination of a route enters the TUN.
func (s *surveyor) included(dst *net.IPNet, family int) bool {
	p := prefix(dst, family)
	return slices.ContainsFunc(included(s.c), p.Overlaps) &&
		!slices.ContainsFunc(throws(s.c), func(x netip.Prefix) bool { return x.Overlaps(p) && x.Bits() <= p.Bits() })
}

func prefix(n *net.IPNet, family int) netip.Prefix {
	if n == nil {
		if family == netlink.FAMILY_V6 {
			return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
		}
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	a, _ := netip.AddrFromSlice(n.IP)
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(a, bits)
}

func destinationText(n *net.IPNet) string {
	if n == nil {
		return "every destination"
	}
	if ones, _ := n.Mask.Size(); ones == 0 {
		return "every destination"
	}
	return n.String()
}

// noteTunnel notes where a tunnel of the kernel sends packets by UDP.
func (s *surveyor) noteTunnel(l netlink.Link) {
	var port int
	var remotes []net.IP
	switch l := l.(type) {
	case *netlink.Vxlan:
		port, remotes = l.Port, append(remotes, l.Group)
	case *netlink.Geneve:
		port, remotes = int(l.Dport), append(remotes, l.Remote)
	default:
		return
	}
	if port == 0 {
		return
	}
	peers, _ := dump(func() ([]netlink.Neigh, error) { return s.k.NeighList(l.Attrs().Index, unix.AF_BRIDGE) })
	for _, p := range peers {
		remotes = append(remotes, p.IP)
	}
	known := len(s.u.Tunnels)
	for _, ip := range remotes {
		if a, ok := netip.AddrFromSlice(ip); ok && !a.IsUnspecified() && !a.IsMulticast() {
			s.u.Tunnels = append(s.u.Tunnels, netip.AddrPortFrom(a.Unmap(), uint16(port)))
		}
	}
	if len(s.u.Tunnels) == known { // it is told with each packet
		s.u.Tunnels = append(s.u.Tunnels, netip.AddrPortFrom(netip.Addr{}, uint16(port)))
	}
}

// interfaces returns the names of those by which a route leads.
func (s *surveyor) interfaces(r netlink.Route) []string {
	var names []string
	for _, index := range linkIndexes(r) {
		if name := s.links[index]; name != "" && name != "lo" {
			names = append(names, name)
		}
	}
	return names
}

func linkIndexes(r netlink.Route) []int {
	if len(r.MultiPath) == 0 {
		return []int{r.LinkIndex}
	}
	var all []int
	for _, hop := range r.MultiPath {
		all = append(all, hop.LinkIndex)
	}
	return all
}

// findUplinks notes the interfaces of default routes and of routes by a gateway.
func (s *surveyor) findUplinks() {
	for _, r := range s.routes {
		ones := 0
		if r.Dst != nil {
			ones, _ = r.Dst.Mask.Size()
		}
		if r.Type != unix.RTN_UNICAST || ones > 1 && r.Gw == nil && r.Via == nil && len(r.MultiPath) == 0 {
			continue
		}
		for _, index := range linkIndexes(r) {
			u := Uplink{s.links[index], index}
			if u.Name != "" && u.Name != "lo" && !slices.Contains(s.u.Uplinks, u) {
				s.u.Uplinks = append(s.u.Uplinks, u)
			}
		}
	}
	slices.SortFunc(s.u.Uplinks, func(a, b Uplink) int { return a.Index - b.Index })
}

// joinSkips makes one of skips whose rules follow each other: the end of one must not be the
// beginning of another.
func (s *surveyor) joinSkips() {
	slices.SortFunc(s.u.Skips, func(a, b Skip) int {
		if a.Family != b.Family {
			return a.Family - b.Family
		}
		return a.From - b.From
	})
	var joined []Skip
	for _, skip := range s.u.Skips {
		if n := len(joined); n > 0 && joined[n-1].Family == skip.Family && skip.From <= joined[n-1].To {
			joined[n-1].To = skip.To
			continue
		}
		joined = append(joined, skip)
	}
	s.u.Skips = joined
}

// tracking reports whether connection tracking is at work in the calling thread's network
// namespace.
func tracking() bool {
	b, err := os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_count")
	return err == nil && strings.TrimSpace(string(b)) != "0"
}

// maxOpenFlows bounds the connections that are noted; of a host with more, connection tracking
// knows those that it has seen.
const maxOpenFlows = 1 << 16

// openFlows returns the TCP connections of this host that may send: not those in TIME-WAIT.
func openFlows() []flow {
	const closed, timeWait, listen = 7, 6, 10 // include/net/tcp_states.h
	seen := make(map[flow]bool)
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		sockets, err := netlink.SocketDiagTCP(family)
		if err != nil {
			continue // then connections that are open are known by connection tracking alone
		}
		for _, s := range sockets {
			if s.State == timeWait || s.State == closed || s.State == listen || len(seen) == maxOpenFlows {
				continue
			}
			local, ok := netip.AddrFromSlice(s.ID.Source)
			remote, ok2 := netip.AddrFromSlice(s.ID.Destination)
			if local, remote = local.Unmap(), remote.Unmap(); !ok || !ok2 || remote.IsUnspecified() || remote.IsLoopback() {
				continue
			}
			seen[flow{netip.AddrPortFrom(local, s.ID.SourcePort), netip.AddrPortFrom(remote, s.ID.DestinationPort)}] = true
		}
	}
	return slices.Collect(maps.Keys(seen))
}
