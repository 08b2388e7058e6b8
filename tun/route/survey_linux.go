package route

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// surveyor reads the host's links, rules and routes, and collects the underlay and the notices.
type surveyor struct {
	k       *handles
	c       Config
	beside  []Config       // of other routers
	links   map[int]string // names by index
	overlay map[int]bool   // indexes of links to a network that the host and others have laid
	rules   []netlink.Rule // of the host, in order of family and priority
	routes  []netlink.Route
	u       Underlay
	notices []Notice
}

// survey returns the underlay, and the notices about rules of the host.
func survey(k *handles, c Config) (Underlay, []Notice, error) {
	s := surveyor{k: k, c: c, beside: routersBeside(c), links: make(map[int]string), overlay: make(map[int]bool)}
	links, err := dump(k.LinkList)
	if err != nil {
		return Underlay{}, nil, fmt.Errorf("list interfaces: %w", err)
	}
	for _, l := range links {
		s.links[l.Attrs().Index] = l.Attrs().Name
		s.overlay[l.Attrs().Index] = slices.Contains([]string{"vxlan", "geneve"}, l.Type())
		s.noteTunnel(l)
		s.noteVRF(l)
	}
	for _, family := range allFamilies() {
		if err := s.read(family); err != nil {
			return Underlay{}, nil, err
		}
	}
	s.u.Priority = s.place()
	if s.c.Underlay.Priority != 0 && s.u.Priority == 0 {
		s.u.Left = s.c.Underlay.Priority
	}
	s.c.Underlay.Priority = s.u.Priority
	s.u.Enter = s.enterMark()
	s.noteUplinks()
	s.noteBeside()
	for _, r := range s.rules {
		s.noteBypass(r)
	}
	for _, r := range s.rules {
		if slices.Contains(families(c.Include), r.Family) {
			s.noteRule(r)
		}
	}
	s.joinSkips()
	if !c.ByRules && k.openTables() == nil {
		s.u.Redirects, _ = k.tables.Redirects() // a table that changes meanwhile is read again
		s.u.Zones, _ = k.tables.Zones(s.c.tableNames())
	}
	s.u.Resolvers = c.resolvers()
	s.u.Pings = pings(c.Underlay.Pings)
	return s.u, s.notices, nil
}

// read lists the host's own rules and routes of a family.
func (s *surveyor) read(family int) error {
	rules, err := dump(func() ([]netlink.Rule, error) { return s.k.RuleList(family) })
	if err != nil {
		return fmt.Errorf("list %s rules: %w", familyName(family), err)
	}
	for _, r := range rules {
		r.Family = family
		if r.Table != unix.RT_TABLE_LOCAL && !s.isOwn(r) {
			s.rules = append(s.rules, r)
		}
	}
	routes, err := dump(func() ([]netlink.Route, error) { return s.hostRoutes(family) })
	if err != nil {
		return fmt.Errorf("list %s routes: %w", familyName(family), err)
	}
	s.routes = append(s.routes, routes...)
	return nil
}

// maxRoutes bounds the routes of a family that are kept: a router of the Internet has a million.
// Beyond it those count that differ from others in more than their destination.
const maxRoutes = 4096

// hostRoutes lists the host's own routes of a family.
func (s *surveyor) hostRoutes(family int) (kept []netlink.Route, err error) {
	type way struct {
		table, link          int
		isDefault, byGateway bool
	}
	known := make(map[way]bool)
	all := netlink.Route{Table: unix.RT_TABLE_UNSPEC}
	keep := func(r netlink.Route) bool {
		ownTable := r.Table == unix.RT_TABLE_LOCAL || r.Table == s.c.Table
		if name := s.links[r.LinkIndex]; ownTable || name == s.c.Name || name == s.c.guard() {
			return true
		}
		w := way{r.Table, r.LinkIndex, prefixBits(r.Dst) <= 1, byGateway(r)}
		ofClients := slices.ContainsFunc(s.c.Sources, prefix(r.Dst, family).Overlaps)
		if len(kept) < maxRoutes || !known[w] || ofClients && len(kept) < 2*maxRoutes {
			known[w], kept = true, append(kept, r)
		}
		return true
	}
	err = s.k.RouteListFilteredIter(family, &all, netlink.RT_FILTER_TABLE, keep)
	return kept, err
}

// isOwn reports whether a rule is one of the router's, or does nothing.
func (s *surveyor) isOwn(r netlink.Rule) bool {
	skip := r.Goto > 0 && r.Mark == s.c.Mark
	return s.c.hasPriority(r) || skip || r.Type == nl.FR_ACT_NOP
}

// priority is that of the router's first rule.
func (c Config) priority() int { return cmp.Or(c.Underlay.Priority, c.Priority) }

// hasPriority reports whether a rule has one of the config's priorities.
func (c Config) hasPriority(r netlink.Rule) bool {
	return r.Priority >= c.priority() && r.Priority < c.priority()+ruleCount
}

// notify adds a notice once: rules of both families may give the same.
func (s *surveyor) notify(n Notice) {
	if !slices.Contains(s.notices, n) {
		s.notices = append(s.notices, n)
	}
}

// noteTunnel notes the far ends of a tunnel of the kernel over UDP.
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
	peers, _ := dump(func() ([]netlink.Neigh, error) {
		return s.k.NeighList(l.Attrs().Index, unix.AF_BRIDGE)
	})
	for _, p := range peers {
		remotes = append(remotes, p.IP)
	}
	known := len(s.u.Tunnels)
	for _, ip := range remotes {
		if a, ok := netip.AddrFromSlice(ip); ok && !a.IsUnspecified() && !a.IsMulticast() {
			s.u.Tunnels = append(s.u.Tunnels, netip.AddrPortFrom(a.Unmap(), uint16(port)))
		}
	}
	if len(s.u.Tunnels) == known { // each packet brings its own
		s.u.Tunnels = append(s.u.Tunnels, netip.AddrPortFrom(netip.Addr{}, uint16(port)))
	}
}

// vrfPriority is that of the kernel's rule for packets in a VRF (Documentation/networking/vrf.rst).
const vrfPriority = 1000

// noteVRF notes the interfaces of a VRF, whose packets take the way of its own table.
func (s *surveyor) noteVRF(l netlink.Link) {
	_, isMember := l.Attrs().Slave.(*netlink.VrfSlave)
	isVRF := l.Type() == "vrf"
	if s.c.priority() <= vrfPriority || !isMember && !isVRF {
		return
	}
	s.detour(l.Attrs().Name)
	if isVRF {
		s.notify(Notice{Text: fmt.Sprintf("the VRF %s has routes of its own: its traffic goes past "+
			"the TUN, unrecorded", l.Attrs().Name)})
	}
}

// detour notes an interface by which traffic goes past the TUN.
func (s *surveyor) detour(name string) {
	if !slices.Contains(s.u.Detours, name) {
		s.u.Detours = append(s.u.Detours, name)
	}
}

// noteUplinks notes the interfaces of default routes and of routes by a gateway. The gateways of an
// overlay, such as flannel's, are machines beside this one, and lead nowhere else.
func (s *surveyor) noteUplinks() {
	var uplinks []int
	gateways := s.k.gateways()
	for _, r := range s.routes {
		isDefault := prefixBits(r.Dst) <= 1 // or half of one, as VPNs have it
		switch {
		case r.Type != unix.RTN_UNICAST:
		case isDefault:
			uplinks = append(uplinks, linkIndexes(r)...)
		case byGateway(r):
			gateways = append(gateways, linkIndexes(r)...)
		}
	}
	uplinks = append(uplinks, slices.DeleteFunc(gateways, func(i int) bool { return s.overlay[i] })...)
	for _, index := range uplinks {
		u := Uplink{s.links[index], index}
		if u.Name != "" && u.Name != "lo" && !slices.Contains(s.u.Uplinks, u) {
			s.u.Uplinks = append(s.u.Uplinks, u)
		}
	}
	slices.SortFunc(s.u.Uplinks, func(a, b Uplink) int { return a.Index - b.Index })
}

func byGateway(r netlink.Route) bool { return r.Gw != nil || r.Via != nil || len(r.MultiPath) > 0 }

// interfaces returns the names of the interfaces of a route.
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

// joinSkips joins skips whose rules follow each other: no skip may begin where another ends.
func (s *surveyor) joinSkips() {
	slices.SortFunc(s.u.Skips, func(a, b Skip) int {
		return cmp.Or(a.Family-b.Family, a.From-b.From)
	})
	var joined []Skip
	for _, skip := range s.u.Skips {
		n := len(joined)
		if n > 0 && joined[n-1].Family == skip.Family && skip.From <= joined[n-1].To {
			joined[n-1].To = skip.To
			continue
		}
		joined = append(joined, skip)
	}
	s.u.Skips = joined
}
