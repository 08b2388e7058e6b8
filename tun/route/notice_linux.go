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

// Notices returns what the operator should know of the host before traffic is routed by c: rules
// that come before the router's own or that its sockets escape, forwarding that is off, firewalls
// that drop what is forwarded or answered. It changes nothing.
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
	notices = append(notices, gatewayNotices(k, c)...)
	return append(notices, inputNotices(k, c)...), nil
}

// gatewayNotices tell why traffic of other machines will not get to the TUN, or not into it.
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
		on := enabled(f.key)
		forwards = forwards || on
		if !slices.Contains(families(c.Include), f.family) {
			continue
		}
		if len(f.sources) > 0 && !on {
			key := strings.ReplaceAll(f.key, "/", ".")
			notices = append(notices, Notice{
				Text: fmt.Sprintf("%s is 0: this host does not forward what %s sends", key, f.sources[0]),
				Hint: "sysctl -w " + key + "=1",
			})
		}
		if on {
			notices = append(notices, unlistedNetworks(k, c, f.family)...)
		}
	}
	if !forwards {
		return notices
	}
	return append(notices, firewallNotices(k, c)...)
}

// unlistedNetworks names networks beside this host that Sources lacks.
func unlistedNetworks(k *handles, c Config, family int) (notices []Notice) {
	links, err := dump(k.LinkList)
	if err != nil {
		return nil
	}
	for _, l := range links {
		name := l.Attrs().Name
		if !isUp(l) || l.Attrs().Flags&net.FlagPointToPoint != 0 || name == "lo" || name == c.Name || name == c.guard() ||
			slices.ContainsFunc(c.Underlay.Uplinks, func(u Uplink) bool { return u.Name == name }) {
			continue
		}
		addrs, err := dump(func() ([]netlink.Addr, error) { return k.AddrList(l, family) })
		if err != nil {
			continue
		}
		for _, a := range addrs {
			p := prefix(a.IPNet, family)
			if !p.IsValid() || p.Addr().IsLinkLocalUnicast() || p.IsSingleIP() ||
				slices.ContainsFunc(c.Sources, func(s netip.Prefix) bool { return s.Overlaps(p) }) {
				continue
			}
			notices = append(notices, Notice{
				Text: fmt.Sprintf("machines of %s (%s) are refused what enters the TUN, unless this host masquerades them: tun.sources lacks it", p.Masked(), name),
				Hint: fmt.Sprintf("add %s to tun.sources", p.Masked()),
				Info: true,
			})
		}
	}
	return notices
}

// firewallNotices name chains that drop what is forwarded by default, where no rule beside names
// the TUN.
func firewallNotices(k *handles, c Config) (notices []Notice) {
	if k.openTables() != nil {
		return nil
	}
	chains, err := k.tables.ForwardDrops(c.Name)
	if err != nil {
		return nil
	}
	for _, chain := range chains {
		notices = append(notices, Notice{
			Text: fmt.Sprintf("the nftables chain %s drops what is forwarded unless a rule accepts it, and none names %s", chain, c.Name),
			Hint: acceptHint(chain, c.Name),
		})
	}
	return notices
}

// inputNotices name chains that drop the router's answers to this host's own programs.
func inputNotices(k *handles, c Config) (notices []Notice) {
	if k.openTables() != nil {
		return nil
	}
	chains, err := k.tables.InputDrops(c.Name)
	if err != nil {
		return nil
	}
	for _, chain := range chains {
		hint := fmt.Sprintf("nft insert rule %s iifname %s ct state established,related accept", chain, c.Name)
		if tool := iptables(chain, "INPUT"); tool != "" {
			hint = fmt.Sprintf("%s -I INPUT -i %s -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT", tool, c.Name)
		}
		notices = append(notices, Notice{
			Text: fmt.Sprintf("the nftables chain %s drops what comes in unless a rule accepts it, and none accepts answers from %s", chain, c.Name),
			Hint: hint,
		})
	}
	return notices
}

// iptables returns the tool that has made a chain, or "".
func iptables(chain nft.ChainName, name string) string {
	if chain.Table != "filter" || chain.Chain != name {
		return ""
	}
	return map[string]string{"ip": "iptables", "ip6": "ip6tables"}[chain.Family]
}

func acceptHint(chain nft.ChainName, name string) string {
	if tool := iptables(chain, "FORWARD"); tool != "" {
		return fmt.Sprintf("%s -I FORWARD -i %s -j ACCEPT && %s -I FORWARD -o %s -j ACCEPT", tool, name, tool, name)
	}
	return fmt.Sprintf("nft 'insert rule %s iifname %s accept; insert rule %s oifname %s accept'", chain, name, chain, name)
}

// enabled tells whether a kernel parameter is not 0.
func enabled(key string) bool {
	b, err := os.ReadFile(filepath.Join("/proc/sys", key))
	return err == nil && strings.TrimSpace(string(b)) != "0"
}

func only6(prefixes []netip.Prefix) []netip.Prefix {
	return slices.DeleteFunc(slices.Clone(prefixes), func(p netip.Prefix) bool { return p.Addr().Is4() })
}
