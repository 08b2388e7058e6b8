package route

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"syntap/tun/nft"
)

// Priorities of the chains. Those of packets that enter come after all of the host's, whose marks
// and translations are then known; arriving comes before the filters of reverse paths, which look a
// packet's source up by its mark.
const (
	firstPriority = -350
	lastPriority  = 400
)

// label returns the connection label of what enters the TUN, which routers beside this one must not
// have: their tables differ by other than a multiple of 95. The first labels are left to those who
// name them, in connlabel.conf(5).
func (c Config) label() int { return 32 + c.Table%95 }

// outsideLabel is that of what has entered and stays outside all the same, for all routers: see
// doc.go.
const outsideLabel = 127

// Names of sets that packets fill.
const (
	pastSet          = "past"
	pastForwardedSet = "past_forwarded"
)

// tunnels are the protocols of the kernel's own tunnels, which only root can send: IPv4 and IPv6 in
// IP, GRE, ESP, AH, L2TP.
var tunnels = []uint8{unix.IPPROTO_IPIP, unix.IPPROTO_IPV6, unix.IPPROTO_GRE, unix.IPPROTO_ESP, unix.IPPROTO_AH, 115}

// tableName returns the name of the nftables table, which begins with a letter.
func (c Config) tableName() string {
	if first := c.Name[0] | 0x20; first < 'a' || first > 'z' {
		return "tun-" + c.Name
	}
	return c.Name
}

// steering returns the table that tells by connection tracking which packets enter the TUN. doc.go
// explains it.
func steering(c Config) *nft.Table {
	u := c.Underlay
	t := &nft.Table{Name: c.tableName(), Sets: steeringSets(c)}
	chain := func(name string, hook *nft.Hook, rules ...nft.Rule) {
		t.Chains = append(t.Chains, nft.Chain{Name: name, Hook: hook, Rules: rules})
	}
	keep := func(statements ...nft.Statement) []nft.Rule {
		if !c.KeepInbound {
			return nil
		}
		return []nft.Rule{statements}
	}
	rules := func(parts ...[]nft.Rule) (all []nft.Rule) {
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	enter := nft.SetMark(u.Enter)
	errors := func(statements ...nft.Statement) (all []nft.Rule) {
		for _, protocol := range []uint8{unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6} {
			all = append(all, append(slices.Clone(statements), nft.Related, nft.Protocol(protocol), nft.Accept))
		}
		return all
	}

	chain("enter", nil, nft.Rule{nft.SetLabel(c.label()), enter})
	chain("destination", nil,
		nft.Rule{nft.Destination4.In("enter4"), nft.Goto("enter")},
		nft.Rule{nft.Destination6.In("enter6"), nft.Goto("enter")})

	first, last := localPorts()
	chain("midstream", nil,
		nft.Rule{nft.SourcePortOutside(first, last), nft.Accept},
		nft.Rule{nft.FlowIn(nft.Source4, nft.Destination4, "open4"), nft.Accept},
		nft.Rule{nft.FlowIn(nft.Source6, nft.Destination6, "open6"), nft.Accept},
		nft.Rule{nft.Goto("destination")})
	chain("users", nil, userRules(c)...)

	// The mark is no secret, and CAP_NET_RAW is enough to set it.
	local := []nft.Rule{{nft.SocketMark(c.Mark), nft.OfUID(uint32(os.Geteuid())), nft.Accept}}
	for _, b := range u.Bypass {
		local = append(local, nft.Rule{nft.MarkBits(b.Value, b.Mask), nft.Accept})
	}
	for _, to := range u.Tunnels {
		local = append(local, tunnelRule(to))
	}
	for _, p := range tunnels {
		local = append(local, nft.Rule{nft.Protocol(p), nft.Accept})
	}
	// The offer of a DHCP server is no reply to connection tracking, since it has been asked by
	// broadcast.
	for _, ports := range [][2]uint16{{67, 68}, {547, 546}} {
		local = append(local, nft.Rule{nft.Protocol(unix.IPPROTO_UDP), nft.SourcePort(ports[0]), nft.DestinationPort(ports[1]), nft.Accept})
	}
	local = append(local, nft.Rule{nft.Broadcast, nft.Accept}, nft.Rule{nft.Jump("users")}, nft.Rule{nft.NotSYN, nft.Goto("midstream")}, nft.Rule{nft.Goto("destination")})
	chain("local_new", nil, local...)

	chain("local", &nft.Hook{Type: "route", At: "output", Priority: lastPriority}, rules(
		[]nft.Rule{{nft.To("lo"), nft.Accept}}, errors(nft.Reply), // the client is told why its packet does not get into the TUN
		keep(nft.SYNACK, nft.Label(c.label()), nft.SetLabel(outsideLabel), nft.Accept),
		keep(nft.Label(outsideLabel), nft.Accept),
		[]nft.Rule{{nft.Label(c.label()), enter, nft.Accept}}, errors(),
		keep(nft.Reply, nft.Accept),
		[]nft.Rule{{nft.NotEstablished, nft.Goto("local_new")}})...)

	// The entry of a client's connection may have been flushed. One that was never seen is older
	// than the router.
	flushed := []nft.Rule{{nft.SourcePortOutside(first, last), nft.Accept},
		{nft.Source4.In("sources4"), nft.Goto("destination")}, {nft.Source6.In("sources6"), nft.Goto("destination")}}
	if !c.tracked {
		flushed = nil
	}
	chain("forwarded_midstream", nil, flushed...)
	chain("forwarded_new", nil, rules(
		[]nft.Rule{{nft.NotUnicast, nft.Accept}, {nft.NotSYN, nft.Goto("forwarded_midstream")}},
		[]nft.Rule{{nft.Source4.In("sources4"), nft.Goto("destination")}, {nft.Source6.In("sources6"), nft.Goto("destination")}},
		keep(nft.FromAny("uplinks"), nft.Accept),
		[]nft.Rule{{nft.RouteOutside("uplinks"), nft.Accept}, {nft.Goto("destination")}})...)
	// What the router brings a client unasked, such as a peer's first datagram, has its answers
	// enter.
	began := []nft.Rule{{nft.From(c.Name), nft.New, nft.SetLabel(c.label())}, {nft.From(c.Name), nft.SetMark(0), nft.Accept}}
	forwarded := rules(
		began,
		keep(nft.Reply, nft.FromAny("uplinks"), nft.Accept),
		keep(nft.SYNACK, nft.Label(c.label()), nft.SetLabel(outsideLabel), nft.Accept),
		keep(nft.Label(outsideLabel), nft.Accept),
		[]nft.Rule{{nft.Label(c.label()), enter, nft.Accept}}, errors(),
		keep(nft.Reply, nft.Accept),
		[]nft.Rule{{nft.NewOrRelated, nft.Goto("forwarded_new")}})
	if !forwardedEnter(c) {
		forwarded = began
	}
	chain("forwarded", &nft.Hook{Type: "filter", At: "prerouting", Priority: lastPriority}, forwarded...)

	chain("arriving", &nft.Hook{Type: "filter", At: "prerouting", Priority: firstPriority}, nft.Rule{nft.From(c.Name), enter})
	chain("leaving", &nft.Hook{Type: "filter", At: "postrouting", Priority: firstPriority}, nft.Rule{nft.Mark(c.Mark), nft.SetMark(0)})
	if c.Enforce != EnforceOff {
		chain("count_past", nil, nft.Rule{nft.CountUID(pastSet), nft.Return}, nft.Rule{nft.CountForwarded(pastForwardedSet)})
		chain("bridged", nil, nft.Rule{nft.AnyUID, nft.Return}, nft.Rule{nft.Accept})
		chain("past", &nft.Hook{Type: "filter", At: "postrouting", Priority: lastPriority}, guardRules(c)...)
	}
	return t
}

// users whose traffic enters, and whether that of the kernel's own sockets, which count as user
// 0's, does.
func forwardedEnter(c Config) bool {
	for _, u := range enters(c.IncludeUIDs, c.ExcludeUIDs) {
		if u.First == 0 {
			return true
		}
	}
	return false
}

// tunnelRule lets a tunnel's packets to a far end stay outside.
func tunnelRule(to netip.AddrPort) nft.Rule {
	rule := nft.Rule{nft.Protocol(unix.IPPROTO_UDP), nft.DestinationPort(to.Port())}
	switch a := to.Addr(); {
	case a.Is4():
		rule = append(rule, nft.Destination4.Is(a))
	case a.Is6():
		rule = append(rule, nft.Destination6.Is(a))
	}
	return append(rule, nft.Accept)
}

// userRules let return the packets of users whose traffic enters. A datagram that belongs to no
// process is that of a tunnel of the kernel, such as WireGuard or VXLAN, and stays outside.
func userRules(c Config) []nft.Rule {
	datagram := nft.Rule{nft.Protocol(unix.IPPROTO_UDP), nft.Accept}
	switch {
	case everybody(enters(c.IncludeUIDs, c.ExcludeUIDs)):
		return []nft.Rule{{nft.AnyUID, nft.Return}, datagram}
	case forwardedEnter(c):
		return []nft.Rule{{nft.UIDIn("users"), nft.Return}, {nft.AnyUID, nft.Accept}, datagram}
	}
	return []nft.Rule{{nft.UIDIn("users"), nft.Return}, {nft.Accept}}
}

// guardRules take care of what should have entered the TUN and leaves by another interface: the
// rules that lead to the TUN were deleted, or a program has bound its socket to the interface. A
// set that is full breaks off the rule that counts, so the verdict is another's.
func guardRules(c Config) []nft.Rule {
	rules := []nft.Rule{
		{nft.NotMark(c.Underlay.Enter), nft.Accept},
		{nft.To(c.Name), nft.Accept},
		{nft.From(c.Name), nft.Accept},
		{nft.To(c.guard()), nft.Accept},
		{nft.ToBridge, nft.FromNone, nft.Jump("bridged")},
	}
	for _, name := range c.Underlay.Detours {
		rules = append(rules, nft.Rule{nft.To(name), nft.Jump("count_past")}, nft.Rule{nft.To(name), nft.Accept})
	}
	count := nft.Rule{nft.Jump("count_past")}
	if c.Enforce != EnforceReject {
		return append(rules, count)
	}
	// Address configuration and the resolver of a link bind their sockets to the link.
	for _, port := range []uint16{67, 547} { // DHCP, DHCPv6
		rules = append(rules, nft.Rule{nft.Protocol(unix.IPPROTO_UDP), nft.DestinationPort(port), nft.Accept})
	}
	rules = append(rules,
		nft.Rule{nft.DestinationPort(53), nft.Destination4.In("resolvers4"), nft.Accept},
		nft.Rule{nft.DestinationPort(53), nft.Destination6.In("resolvers6"), nft.Accept})
	return append(rules, count, nft.Rule{nft.Counter(), nft.Drop})
}

func steeringSets(c Config) []nft.Set {
	sets := []nft.Set{
		{Name: "enter4", Type: nft.IPv4Addr, Interval: true, Elements: addressElements(entering(included(c), throws(c), true))},
		{Name: "enter6", Type: nft.IPv6Addr, Interval: true, Elements: addressElements(entering(included(c), throws(c), false))},
		{Name: "sources4", Type: nft.IPv4Addr, Interval: true, Elements: addressElements(entering(c.Sources, nil, true))},
		{Name: "sources6", Type: nft.IPv6Addr, Interval: true, Elements: addressElements(entering(c.Sources, nil, false))},
		{Name: "uplinks", Type: nft.InterfaceIndex},
		{Name: "users", Type: nft.UID, Interval: true},
		{Name: "open4", Type: nft.Concat(nft.IPv4Addr, nft.Port, nft.IPv4Addr, nft.Port)},
		{Name: "open6", Type: nft.Concat(nft.IPv6Addr, nft.Port, nft.IPv6Addr, nft.Port)},
		{Name: "resolvers4", Type: nft.IPv4Addr, Interval: true, Elements: addressElements(entering(hosts(c.Resolvers), nil, true))},
		{Name: "resolvers6", Type: nft.IPv6Addr, Interval: true, Elements: addressElements(entering(hosts(c.Resolvers), nil, false))},
		{Name: pastSet, Type: nft.Concat(nft.UID, nft.InterfaceName), Size: 1024},
		{Name: pastForwardedSet, Type: nft.Concat(nft.InterfaceName, nft.InterfaceName), Size: 1024},
	}
	for i := range sets {
		s := &sets[i]
		switch s.Name {
		case "uplinks":
			for _, u := range c.Underlay.Uplinks {
				s.Elements = append(s.Elements, nft.Range{First: binary.NativeEndian.AppendUint32(nil, uint32(u.Index)), Text: fmt.Sprintf("%q", u.Name)})
			}
		case "users":
			if uids := enters(c.IncludeUIDs, c.ExcludeUIDs); !everybody(uids) {
				for _, u := range uids {
					s.Elements = append(s.Elements, nft.Range{
						First: binary.BigEndian.AppendUint32(nil, u.First), Last: binary.BigEndian.AppendUint32(nil, u.Last),
						Text: fmt.Sprintf("%d-%d", u.First, u.Last),
					})
				}
			}
		case "open4", "open6":
			for _, f := range c.open {
				if f[0].Addr().Is4() == (s.Name == "open4") {
					s.Elements = append(s.Elements, flowElement(f))
				}
			}
		}
	}
	return sets
}

func hosts(addrs []netip.Addr) (all []netip.Prefix) {
	for _, a := range addrs {
		a = a.WithZone("")
		all = append(all, netip.PrefixFrom(a, a.BitLen()))
	}
	return all
}

func addressElements(ranges []addressRange) (all []nft.Range) {
	for _, r := range ranges {
		text := r.first.String()
		if r.last != r.first {
			text += "-" + r.last.String()
		}
		all = append(all, nft.Range{First: r.first.AsSlice(), Last: r.last.AsSlice(), Text: text})
	}
	return all
}

// flowElement returns an element of the type address, port, address, port: each field fills words
// of four bytes.
func flowElement(f flow) nft.Range {
	var key []byte
	var texts []string
	for _, end := range f {
		key = append(key, end.Addr().AsSlice()...)
		key = binary.BigEndian.AppendUint16(key, end.Port())
		key = append(key, 0, 0)
		texts = append(texts, end.Addr().String(), fmt.Sprint(end.Port()))
	}
	return nft.Range{First: key, Text: strings.Join(texts, " . ")}
}

// localPorts returns the ports from which the kernel chooses for clients (ip_local_port_range).
func localPorts() (first, last uint16) {
	b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if _, scanErr := fmt.Sscan(string(b), &first, &last); err != nil || scanErr != nil || last < first {
		return 32768, 60999
	}
	return first, last
}
