package route

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"

	"syntap/tun/nft"
)

// Notices returns facts about the host that the operator should know before c routes its traffic:
// rules that come before the router's own, or that its sockets do not match; forwarding that is
// off; firewalls that drop forwarded packets or answers. It changes nothing.
func Notices(c Config) ([]Notice, error) {
	if !hasIPv6() {
		c.Addresses, c.Include = only4(c.Addresses), only4(c.Include)
	}
	if !c.hasRules() {
		return nil, nil
	}
	k, err := openHandles()
	if err != nil {
		return nil, err
	}
	defer k.close()
	u, notices, err := survey(k, c)
	if err != nil {
		return nil, err
	}
	c.Underlay = u
	return append(notices, hostNotices(k, c)...), nil
}

// hostNotices are those about all but the host's rules.
func hostNotices(k *handles, c Config) []Notice {
	return slices.Concat(
		gatewayNotices(k, c), sourceNotices(k, c), guardNotices(k, c), ipsecNotices(k, c),
		untrackedNotices(k, c), inputNotices(k, c), ownerNotices(k, c), queryNotices(c))
}

// gatewayNotices report why traffic of other machines does not reach the TUN, or does not enter it.
func gatewayNotices(k *handles, c Config) (notices []Notice) {
	forwards := false
	for _, f := range []struct {
		key     string
		sources []netip.Prefix
		family  int
	}{
		{"net/ipv4/ip_forward", only4(c.Sources), netlink.FAMILY_V4},
		{"net/ipv6/conf/all/forwarding", only6(c.Sources), netlink.FAMILY_V6},
	} {
		on := enabled(f.key) || f.family == netlink.FAMILY_V4 && forwards4(c)
		forwards = forwards || on
		if !slices.Contains(families(c.Include), f.family) {
			continue
		}
		if on {
			notices = append(notices, unlistedNetworks(k, c, f.family)...)
		} else if len(f.sources) > 0 {
			key := strings.ReplaceAll(f.key, "/", ".")
			notices = append(notices, Notice{
				Text: fmt.Sprintf("%s is 0: this host does not forward packets from %s",
					key, f.sources[0]),
				Hint: "sysctl -w " + key + "=1",
			})
		}
	}
	if !forwards {
		return notices
	}
	return append(notices, firewallNotices(k, c)...)
}

// clientNetwork is a network of a link behind which there may be clients.
type clientNetwork struct {
	link *netlink.LinkAttrs
	netip.Prefix
}

func clientNetworks(k *handles, c Config, family int) (networks []clientNetwork) {
	links, err := dump(k.LinkList)
	if err != nil {
		return nil
	}
	for _, l := range links {
		if !isUp(l) || !servesClients(c, l.Attrs()) {
			continue
		}
		addrs, err := dump(func() ([]netlink.Addr, error) { return k.AddrList(l, family) })
		if err != nil {
			continue
		}
		for _, a := range addrs {
			p := prefix(a.IPNet, family)
			if p.IsValid() && !p.Addr().IsLinkLocalUnicast() && !p.IsSingleIP() {
				networks = append(networks, clientNetwork{l.Attrs(), p.Masked()})
			}
		}
	}
	return networks
}

// unlistedNetworks reports networks of this host's links that Sources lacks.
func unlistedNetworks(k *handles, c Config, family int) (notices []Notice) {
	for _, n := range clientNetworks(k, c, family) {
		if slices.ContainsFunc(c.Sources, n.Overlaps) {
			continue
		}
		notices = append(notices, Notice{
			Text: fmt.Sprintf("machines of %s (%s) may not send into the TUN, unless this "+
				"host masquerades them: tun.sources lacks it", n.Prefix, n.link.Name),
			Hint: fmt.Sprintf("add %s to tun.sources", n.Prefix),
			Info: true,
		})
	}
	return notices
}

// clientLinks returns the links of networks in Sources, behind which there may be those that are on
// no link. Where there are none, the clients are those of other links, or come by an uplink.
func clientLinks(k *handles, c Config) (links []nft.Link) {
	var networks []clientNetwork
	for _, family := range allFamilies() {
		networks = append(networks, clientNetworks(k, c, family)...)
	}
	elsewhere := slices.DeleteFunc(slices.Clone(c.Sources), func(p netip.Prefix) bool {
		return slices.ContainsFunc(networks, func(n clientNetwork) bool { return n.Overlaps(p) })
	})
	isClient := func(n clientNetwork) bool { return slices.ContainsFunc(c.Sources, n.Overlaps) }
	if slices.ContainsFunc(networks, isClient) {
		networks = slices.DeleteFunc(networks, func(n clientNetwork) bool { return !isClient(n) })
	}
	for _, n := range networks {
		i := slices.IndexFunc(links, func(l nft.Link) bool { return l.Index == n.link.Index })
		if i < 0 {
			l := nft.Link{Name: n.link.Name, Index: n.link.Index, Networks: slices.Clone(elsewhere)}
			i, links = len(links), append(links, l)
		}
		links[i].Networks = append(links[i].Networks, n.Prefix)
	}
	if len(links) == 0 {
		for _, u := range c.Underlay.Uplinks {
			links = append(links, nft.Link{Name: u.Name, Index: u.Index, Networks: c.Sources})
		}
	}
	return links
}

// servesClients reports whether the machines behind a link may be clients of this host.
func servesClients(c Config, link *netlink.LinkAttrs) bool {
	if slices.Contains([]string{"lo", c.Name, c.guard()}, link.Name) {
		return false
	}
	uplinks := c.Underlay.Uplinks
	isUplink := slices.ContainsFunc(uplinks, func(u Uplink) bool { return u.Name == link.Name })
	return link.Flags&net.FlagPointToPoint == 0 && !isUplink
}

// firewallNotices report chains that drop forwarded packets by default and have no rule that
// accepts those to the TUN.
func firewallNotices(k *handles, c Config) (notices []Notice) {
	if k.openTables() != nil {
		return nil
	}
	chains, err := k.tables.ForwardDrops(c.Name, clientLinks(k, c))
	if err != nil {
		return nil
	}
	for _, chain := range chains {
		notices = append(notices, Notice{
			Text: fmt.Sprintf("the %s drops forwarded packets unless a rule accepts them, and no "+
				"rules accept those of clients to %s and back", chain.WithTool(), c.Name),
			Hint: acceptHint(k.tables, chain, c.Name),
		})
	}
	return notices
}

// inputNotices report chains that drop the router's answers to this host's own programs.
func inputNotices(k *handles, c Config) (notices []Notice) {
	if k.openTables() != nil {
		return nil
	}
	chains, err := k.tables.InputDrops(c.Name)
	if err != nil {
		return nil
	}
	for _, chain := range chains {
		notices = append(notices, Notice{
			Text: fmt.Sprintf("the %s drops incoming packets unless a rule accepts "+
				"them, and no rule accepts answers from %s", chain.WithTool(), c.Name),
			Hint: answersHint(chain, c.Name),
		})
	}
	return notices
}

// ownerNotices report chains that let out programs of some users alone. What enters the TUN leaves
// by the router's own sockets, which are this process's user's.
func ownerNotices(k *handles, c Config) (notices []Notice) {
	if k.openTables() != nil {
		return nil
	}
	chains, err := k.tables.OwnerDrops(uint32(os.Geteuid()), c.Mark, c.tableNames())
	if err != nil {
		return nil
	}
	for _, chain := range chains {
		notices = append(notices, Notice{
			Text: fmt.Sprintf("the %s tells packets by the user of their program, and drops those "+
				"of user %d: with them the router's own, by which all that enters the TUN leaves",
				chain.WithTool(), os.Geteuid()),
			Hint: ownerHint(chain, c.Mark),
		})
	}
	return notices
}

// tableNames returns the names of the nftables tables of this router and of those beside it.
func (c Config) tableNames() []string {
	names := []string{c.tableName()}
	for _, other := range routersBeside(c) {
		names = append(names, other.tableName())
	}
	return names
}

// ownerHint returns the command that has a chain accept packets of the router's own sockets. The
// mark is there until postrouting.
func ownerHint(chain nft.ChainName, mark uint32) string {
	if tool := iptables(chain); tool != "" {
		return fmt.Sprintf("%s -m mark --mark %#x -j ACCEPT", tool, mark)
	}
	return fmt.Sprintf("nft insert rule %s meta mark %#x accept", chain, mark)
}

// sourceNotices report reverse-path filters that drop packets from the TUN, because they look up
// the route to a packet's source without the packet's mark.
func sourceNotices(k *handles, c Config) (notices []Notice) {
	if c.ByRules || k.openTables() != nil {
		return nil
	}
	chains, err := k.tables.SourceDrops(c.Name)
	if err != nil {
		return nil
	}
	for _, chain := range chains {
		notices = append(notices, Notice{
			Text: fmt.Sprintf("the reverse-path filter in the %s disregards marks: it drops packets "+
				"from %s", chain.WithTool(), c.Name),
			Hint: spareHint(chain, c.Name),
		})
	}
	return notices
}

// untrackedNotices report rules that take packets off connection tracking, among which the router
// does not know all that were to enter.
func untrackedNotices(k *handles, c Config) (notices []Notice) {
	if c.ByRules || !c.KeepInbound || k.openTables() != nil {
		return nil
	}
	chains, err := k.tables.Untracks()
	if err != nil {
		return nil
	}
	first, last := localPorts()
	for _, chain := range chains {
		notices = append(notices, Notice{
			Text: fmt.Sprintf("the %s takes packets off connection tracking: those from other ports "+
				"than %d to %d may be replies of servers, and do not enter the TUN; connections of "+
				"other machines that are open at the start are reset", chain.WithTool(), first, last),
			Info: true,
		})
	}
	return notices
}

// guardNotices report rules that tie a network to another interface, and so drop the router's
// answers from there, or to there.
func guardNotices(k *handles, c Config) (notices []Notice) {
	if c.ByRules || k.openTables() != nil {
		return nil
	}
	guards, err := k.tables.Guards(c.Name)
	if err != nil {
		return nil
	}
	for _, g := range guards {
		n := Notice{
			Text: fmt.Sprintf("a rule in the %s ties packets from %s to another interface: it drops "+
				"those that come from %s", g.WithTool(), g.Network, c.Name),
			Hint: fmt.Sprintf("add %s to route.exclude", g.Network),
		}
		concerns := !g.Network.Addr().IsLoopback() && enters(c, g.Network) &&
			!slices.Contains(c.Underlay.Detours, g.Link)
		if g.Destination {
			n.Text = strings.Replace(n.Text, "packets from", "packets to", 1)
			n.Hint = spareHint(g.ChainName, c.Name)
			veiled := len(c.Underlay.Bypass) > 0 && g.Priority < unveilingPriority
			concerns = !veiled && hasClients(k, c, g.Network)
		}
		if concerns {
			notices = append(notices, n)
		}
	}
	return notices
}

// hasClients reports whether a network has addresses of this host or of machines that may send
// into the TUN.
func hasClients(k *handles, c Config, network netip.Prefix) bool {
	addrs, err := dump(func() ([]netlink.Addr, error) { return k.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return false
	}
	return slices.ContainsFunc(c.Sources, network.Overlaps) ||
		slices.ContainsFunc(addrs, func(a netlink.Addr) bool {
			ip, _ := netip.AddrFromSlice(a.IP)
			return !ip.IsLoopback() && network.Contains(ip.Unmap())
		})
}

// spareHint returns the command that has a chain accept packets from the TUN.
func spareHint(chain nft.ChainName, name string) string {
	if tool := iptables(chain); tool != "" {
		return fmt.Sprintf("%s -i %s -j ACCEPT", tool, name)
	}
	return fmt.Sprintf("nft insert rule %s iifname %s accept", chain, name)
}

// iptables returns the command that inserts a rule into a chain which its tool has made, "" if nft
// has.
func iptables(chain nft.ChainName) string {
	tool := map[string]string{"ip": "iptables", "ip6": "ip6tables"}[chain.Family]
	isMade := slices.Contains([]string{"raw", "mangle"}, chain.Table) || chain.Table == "filter" &&
		slices.Contains([]string{"INPUT", "FORWARD", "OUTPUT"}, chain.Chain)
	switch {
	case chain.Legacy:
		tool += "-legacy"
	case tool == "" || !isMade:
		return ""
	}
	if chain.Table != "filter" {
		tool += " -t " + chain.Table
	}
	return tool + " -I " + chain.Chain
}

// acceptHint returns the command that lets a chain forward packets of the TUN. ufw and firewalld
// write their rules anew, so theirs is a command of their own.
func acceptHint(tables *nft.Kernel, chain nft.ChainName, name string) string {
	if chain.Table == "firewalld" {
		return firewalldHint(name)
	}
	if tool := iptables(chain); tool != "" {
		for _, ufw := range []string{"ufw-before-forward", "ufw6-before-forward"} {
			other := chain
			if other.Chain = ufw; tables.HasChain(other) {
				return fmt.Sprintf("ufw route allow in on %[1]s && ufw route allow out on %[1]s", name)
			}
		}
		accept := func(flag string) string {
			return fmt.Sprintf("%s %s %s -j ACCEPT", tool, flag, name)
		}
		return accept("-i") + " && " + accept("-o")
	}
	accept := func(field string) string {
		return fmt.Sprintf("insert rule %s %s %s accept", chain, field, name)
	}
	return "nft '" + accept("iifname") + "; " + accept("oifname") + "'"
}

// firewalldHint returns the commands that have firewalld forward between its zones and the TUN.
func firewalldHint(name string) string {
	var commands []string
	for _, args := range []string{
		"--new-zone=syntap", "--zone=syntap --change-interface=" + name,
		"--new-policy=to-syntap", "--policy=to-syntap --add-ingress-zone=ANY",
		"--policy=to-syntap --add-egress-zone=syntap", "--policy=to-syntap --set-target=ACCEPT",
	} {
		commands = append(commands, "firewall-cmd --permanent "+args)
	}
	return strings.Join(append(commands, "firewall-cmd --reload"), "; ") // some may be done already
}

// answersHint returns the command that lets a chain accept answers from the TUN.
func answersHint(chain nft.ChainName, name string) string {
	if tool := iptables(chain); tool != "" {
		return fmt.Sprintf("%s -i %s -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT", tool, name)
	}
	return fmt.Sprintf("nft insert rule %s iifname %s ct state established,related accept",
		chain, name)
}

// enabled reports whether a kernel parameter is not 0.
func enabled(key string) bool {
	b, err := os.ReadFile(filepath.Join("/proc/sys", key))
	return err == nil && strings.TrimSpace(string(b)) != "0"
}
