package route

import (
	"fmt"
	"net/netip"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"syntap/tun/nft"
)

// Priorities of the chains. The chains that decide come after all of the host's, so that they see
// the host's marks and translations. Arriving comes before the reverse-path filters, which look up
// a packet's source by its mark.
const (
	firstPriority     = -350
	unveilingPriority = -201 // before connection tracking
	ownPriority       = -150 // before all chains that translate destinations
	lastPriority      = 400
)

// The bits that are inverted in a veiled destination.
var veil4, veil6 = netip.MustParseAddr("240.0.0.0"), netip.MustParseAddr("f000::")

// label returns the connection label of connections that enter the TUN. Routers beside this one
// have other labels, because their tables do not differ by a multiple of 94. The first labels,
// but for sentLabel, are left to the operator, who names them in connlabel.conf(5).
func (c Config) label() int { return 32 + c.Table%94 }

// decidedLabel is the label of connections whose first packet a router has seen, of its own sockets
// too, for all routers.
const decidedLabel = 126

// deliveredLabel is the label of connections that a packet from a TUN has begun, for all routers.
const deliveredLabel = 30

// outsideLabel is the label of connections that have entered and stay outside from then on, for all
// routers: see doc.go.
const outsideLabel = 127

// linkProtocols are protocols that only root can send, and that stay outside: those of the kernel's
// own tunnels, which are IPv4 and IPv6 in IP, GRE, ESP, AH, L2TP, and those by which routers talk
// to their neighbours, which are EIGRP, OSPF, PIM, VRRP. The router carries none of them.
var linkProtocols = []uint8{
	unix.IPPROTO_IPIP, unix.IPPROTO_IPV6, unix.IPPROTO_GRE, unix.IPPROTO_ESP, unix.IPPROTO_AH, 115,
	88, 89, unix.IPPROTO_PIM, 112,
}

// tableName returns the name of the nftables table, which begins with a letter.
func (c Config) tableName() string {
	if first := c.Name[0] | 0x20; first < 'a' || first > 'z' {
		return "tun-" + c.Name
	}
	return c.Name
}

// steering builds the nftables table that decides by connection tracking which packets enter the
// TUN. doc.go explains it.
type steering struct {
	Config
	enter       nft.Statement // gives a packet the mark of packets that enter
	first, last uint16        // the ports from which the kernel chooses for clients
	table       *nft.Table
}

// steeringTable returns the table of a config.
func steeringTable(c Config) *nft.Table {
	s := steering{
		Config: c, enter: nft.SetMark(c.Underlay.Enter),
		table: &nft.Table{Name: c.tableName(), Sets: steeringSets(c)},
	}
	s.first, s.last = localPorts()
	s.decide()
	s.local()
	s.forwarded()
	s.marks()
	if len(c.Underlay.Zones) > 0 {
		s.zones()
	}
	if c.Underlay.Redirects {
		s.own()
	}
	if c.Enforce != EnforceOff {
		s.past()
	}
	if c.Sent != 0 {
		s.sent()
	}
	return s.table
}

// chain adds a chain; a nil hook is for chains that others jump to.
func (s *steering) chain(name string, hook *nft.Hook, rules chainRules) {
	s.table.Chains = append(s.table.Chains, nft.Chain{Name: name, Hook: hook, Rules: rules})
}

// chainRules are the rules of a chain, in order.
type chainRules []nft.Rule

func (r *chainRules) add(statements ...nft.Statement) { *r = append(*r, statements) }

func filter(at string, priority int) *nft.Hook {
	return &nft.Hook{Type: "filter", At: at, Priority: priority}
}

// decide adds the chains that decide on a connection, by its destination and its user.
func (s *steering) decide() {
	var enter, destination, midstream chainRules
	enter.add(nft.SetLabel(s.label()), s.enter)
	destination.add(nft.Destination4.In("enter4"), nft.Goto("enter"))
	destination.add(nft.Destination6.In("enter6"), nft.Goto("enter"))

	midstream.add(nft.SourcePortOutside(s.first, s.last), nft.Accept)
	midstream.add(nft.FlowIn(nft.Source4, nft.Destination4, "open4"), nft.Accept)
	midstream.add(nft.FlowIn(nft.Source6, nft.Destination6, "open6"), nft.Accept)
	midstream.add(nft.Goto("destination"))

	s.chain("enter", nil, enter)
	s.chain("destination", nil, destination)
	s.chain("midstream", nil, midstream)
	s.chain("users", nil, s.users())
}

// users returns from packets of users whose traffic enters. A datagram without a process is that of
// a tunnel of the kernel, such as WireGuard or VXLAN, and stays outside.
func (s *steering) users() (users chainRules) {
	uids := enteringUIDs(s.IncludeUIDs, s.ExcludeUIDs)
	switch datagram := nft.Protocol(unix.IPPROTO_UDP); {
	case allUIDs(uids):
		users.add(nft.AnyUID, nft.Return)
		users.add(datagram, nft.Accept)
	case s.forwardedEnter():
		users.add(nft.UIDIn("users"), nft.Return)
		users.add(nft.AnyUID, nft.Accept)
		users.add(datagram, nft.Accept)
	default:
		users.add(nft.UIDIn("users"), nft.Return)
		users.add(nft.Accept)
	}
	return users
}

// forwardedEnter reports whether forwarded packets and those of the kernel's own sockets enter.
// They count as user 0's.
func (s *steering) forwardedEnter() bool {
	uids := enteringUIDs(s.IncludeUIDs, s.ExcludeUIDs)
	return slices.ContainsFunc(uids, func(u UIDRange) bool { return u.First == 0 })
}

// local adds the chains for packets of this host.
func (s *steering) local() {
	var local chainRules
	local.add(nft.To("lo"), nft.Accept)
	// Before all else: the entry may be that of a client's socket which had the same port. The mark
	// is no secret, and CAP_NET_RAW suffices to set it: the user has to be the router's.
	local.add(nft.SocketMark(s.Mark), nft.OfUID(uint32(os.Geteuid())), nft.SetLabel(decidedLabel), nft.Accept)
	for _, protocol := range []uint8{unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6} { // about packets from the TUN
		local.add(nft.Related, nft.Protocol(protocol), nft.Label(deliveredLabel), s.enter, nft.Accept)
	}
	local.addICMPErrors(nft.Reply) // about packets that enter: they go to the client
	s.addKnown(&local)
	local.add(nft.NotEstablished, nft.Goto("local_new"))
	local.addAnew("local_new")
	for _, protocol := range []uint8{unix.IPPROTO_UDP, unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6} {
		// Another socket may have the port since the decision.
		local.add(nft.Protocol(protocol), nft.Label(decidedLabel), nft.Goto("local_new"))
	}
	local.addUntracked("local_new")

	s.chain("local_new", nil, s.localNew())
	s.chain("local", &nft.Hook{Type: "route", At: "output", Priority: lastPriority}, local)
}

// localNew returns the rules for the first packet of a connection, and for each datagram and echo
// that stays outside.
func (s *steering) localNew() (first chainRules) {
	first.add(nft.SetLabel(decidedLabel))
	for _, b := range s.Underlay.Bypass {
		first.add(nft.MarkBits(b.Value, b.Mask), nft.Accept)
	}
	for _, to := range s.Underlay.Tunnels {
		first.add(tunnel(to)...)
	}
	for _, p := range linkProtocols {
		first.add(nft.Protocol(p), nft.Accept)
	}
	// The offer of a DHCP server answers a broadcast, so connection tracking sees no reply in it.
	udp := nft.Protocol(unix.IPPROTO_UDP)
	for _, ports := range [][2]uint16{{67, 68}, {547, 546}} {
		first.add(udp, nft.SourcePort(ports[0]), nft.DestinationPort(ports[1]), nft.Accept)
	}
	first.add(nft.Local, nft.Accept) // by a redirection of the host
	first.add(nft.Broadcast, nft.Accept)
	if s.KeepInbound {
		first.addToAskers()
	}
	first.add(nft.Jump("users"))
	s.addServers(&first)
	first.add(nft.NotSYN, nft.Goto("midstream"))
	first.add(nft.Goto("destination"))
	return first
}

// tunnel accepts a tunnel's packets to a far end.
func tunnel(to netip.AddrPort) nft.Rule {
	rule := nft.Rule{nft.Protocol(unix.IPPROTO_UDP), nft.DestinationPort(to.Port())}
	switch a := to.Addr(); {
	case a.Is4():
		rule = append(rule, nft.Destination4.Is(a))
	case a.Is6():
		rule = append(rule, nft.Destination6.Is(a))
	}
	return append(rule, nft.Accept)
}

// addICMPErrors accepts ICMP errors for which statements hold.
func (r *chainRules) addICMPErrors(statements ...nft.Statement) {
	for _, protocol := range []uint8{unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6} {
		accept := []nft.Statement{nft.Related, nft.Protocol(protocol), nft.Accept}
		r.add(slices.Concat(statements, accept)...)
	}
}

// addKnown treats packets of connections that are decided already.
func (s *steering) addKnown(r *chainRules) {
	if s.KeepInbound {
		r.add(nft.SYNACK, nft.Label(s.label()), nft.SetLabel(outsideLabel), nft.Accept)
		r.add(nft.Label(outsideLabel), nft.Accept)
	}
	r.add(nft.Label(s.label()), s.enter, nft.Accept)
	r.addICMPErrors()
	if s.KeepInbound {
		r.add(nft.Reply, nft.Accept)
	}
}

// addAnew has a SYN decided as that of a new connection, though it meets the entry of an older one.
// An entry from before there were labels takes none: such a SYN is dropped, and its client sends it
// again when the entry is gone.
func (r *chainRules) addAnew(chain string) {
	r.add(nft.SYN, nft.SetLabel(decidedLabel))
	r.add(nft.SYN, nft.Label(decidedLabel), nft.Goto(chain))
	r.add(nft.SYN, nft.Established, nft.Drop)
}

// addUntracked has each segment and datagram decided by itself that is off connection tracking.
func (r *chainRules) addUntracked(chain string) {
	for _, protocol := range []uint8{unix.IPPROTO_TCP, unix.IPPROTO_UDP} {
		r.add(nft.Untracked, nft.Protocol(protocol), nft.Goto(chain))
	}
}

// addServers has packets off connection tracking stay outside that a server may have sent. A client
// with such a port stays outside, too, since its later segments look like those of a server.
func (s *steering) addServers(r *chainRules) {
	if !s.KeepInbound {
		return
	}
	for _, protocol := range []uint8{unix.IPPROTO_TCP, unix.IPPROTO_UDP} {
		outside := nft.SourcePortOutside(s.first, s.last)
		r.add(nft.Untracked, nft.Protocol(protocol), outside, nft.Accept)
	}
}

// marks adds the chains that give packets from the TUN the mark of packets that enter, for
// reverse-path filters, and take the mark of the router's sockets off their packets.
func (s *steering) marks() {
	var arriving, leaving chainRules
	arriving.add(nft.From(s.Name), s.enter)
	for _, zone := range s.Underlay.Zones {
		for _, f := range zoneFamilies {
			arriving.add(nft.From(s.Name), nft.PairIn(f.source, f.destination, f.set(zone)), nft.SetZone(zone))
		}
	}
	if len(s.Underlay.Bypass) > 0 {
		var unveiling chainRules
		arriving.addVeil(s.Name)
		unveiling.addVeil(s.Name)
		s.chain("unveiling", filter("prerouting", unveilingPriority), unveiling)
	}
	leaving.add(nft.Mark(s.Mark), nft.SetMark(0))
	s.chain("arriving", filter("prerouting", firstPriority), arriving)
	s.chain("leaving", filter("postrouting", firstPriority), leaving)
}

// zoneFamily notes pairs of addresses of a family.
type zoneFamily struct {
	name                string
	addr                nft.Type
	source, destination nft.Field
}

var zoneFamilies = [2]zoneFamily{
	{"4", nft.IPv4Addr, nft.Source4, nft.Destination4},
	{"6", nft.IPv6Addr, nft.Source6, nft.Destination6},
}

func (f zoneFamily) set(zone uint16) string { return fmt.Sprintf("zone%d_%s", zone, f.name) }

// zones adds the chains that note the zones of packets which enter, after their addresses were
// translated: the answers belong to the same, else connection tracking does not know them.
func (s *steering) zones() {
	var note, noting chainRules
	for _, zone := range s.Underlay.Zones {
		for _, f := range zoneFamilies {
			note.add(nft.Zone(zone), nft.NotePair(f.destination, f.source, f.set(zone)))
		}
	}
	noting.add(nft.To(s.Name), nft.Goto("note_zone"))
	s.chain("note_zone", nil, note)
	s.chain("noting_zones", filter("postrouting", lastPriority), noting)
}

// addVeil inverts bits of the destination of packets from the TUN, against the guard of a VPN's
// address. It changes no checksum, since a second veil undoes the first.
func (r *chainRules) addVeil(name string) {
	r.add(nft.From(name), nft.Destination4.Flip(veil4))
	r.add(nft.From(name), nft.Destination6.Flip(veil6))
}

// own adds the chain that keeps the host's redirections off packets of the router's own sockets. A
// client's connection has had its redirection; behind that, the router's would go in a circle.
func (s *steering) own() {
	var own chainRules
	router := []nft.Statement{nft.SocketMark(s.Mark), nft.OfUID(uint32(os.Geteuid()))}
	for _, f := range []nft.Field{nft.Destination4, nft.Destination6} {
		own.add(append(slices.Clone(router), f.Keep())...)
	}
	s.chain("own", &nft.Hook{Type: "nat", At: "output", Priority: ownPriority}, own)
}
