package route_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"

	"syntap/tun/route"
	"syntap/tun/tuntest"
)

// TestNotices reads the notices about rules and firewalls of a host.
func TestNotices(t *testing.T) {
	t.Parallel()
	const (
		beforeOurs = "ip rule add pref 5270 lookup 52; "
		toVPN      = "ip route add default dev wan0 table 52"
		forward    = "{ type filter hook forward priority 0; policy drop; }"
	)
	const otherMark = "set route.mark to 0x53590000"
	detour := []string{"its traffic to every destination goes past the TUN", "route.priority to 5262 "}
	tests := []struct {
		name, setUp string
		change      func(*route.Config)
		want        []string // a text and a hint that contain both parts; none = no notice
	}{
		{"nothing", "", nil, nil},
		{
			"wg-quick", "ip rule add pref 30000 lookup main suppress_prefixlength 0; " +
				"ip rule add pref 30001 not fwmark 0xca6c lookup 51820; " +
				"ip route add default dev wan0 table 51820", nil, nil,
		},
		{"before ours", beforeOurs + toVPN, nil, detour},
		{
			"before ours, two default routes", beforeOurs + toVPN +
				"; ip route add default dev lan0 metric 9 table 52", nil, detour,
		},
		{
			"before ours, IPv4 only", beforeOurs + toVPN,
			func(c *route.Config) { c.Include = prefixes("0.0.0.0/0") }, detour,
		},
		{"before ours, without a route", beforeOurs, nil, nil},
		{
			"without a priority", "ip rule add pref 5358 lookup 52; " + toVPN, nil,
			[]string{"before 5359: the router's begin at 5350, before them", ""},
		},
		{
			"without a priority, behind another", "ip rule add pref 5352 lookup 51; " +
				"ip rule add pref 5358 lookup 52; " + toVPN, nil,
			[]string{"its traffic to every destination goes past the TUN", "route.priority to 5350 "},
		},
		{
			"without a priority, before the first", "ip rule add pref 4 lookup 52; " + toVPN,
			func(c *route.Config) { c.Priority = 5 },
			[]string{"its traffic to every destination goes past the TUN", ""},
		},
		{
			"before ours, excluded", beforeOurs + "ip route add 203.0.113.0/24 dev wan0 table 52",
			func(c *route.Config) { c.Exclude = prefixes("203.0.113.0/24") }, nil,
		},
		{"before ours, other family", "ip -6 rule add pref 5270 lookup 52; " + toVPN, nil, nil},
		{
			"before ours, both families", "for f in -4 -6; do " +
				"ip $f rule add pref 5270 lookup 52; " +
				"ip $f route add default dev wan0 table 52; done", nil, detour,
		},
		{
			"a mark before ours", "ip rule add pref 100 fwmark 0x1/0x1 lookup 52; " + toVPN,
			nil,
			[]string{"selects by the mark", "route.exclude"},
		},
		{
			"a bit of our mark, first of all", "ip rule add pref 0 fwmark 0x1/0x1 lookup 52; " +
				toVPN, nil, []string{"rule \"pref 0 fwmark 0x1/0x1 lookup 52\" tells", otherMark},
		},
		{
			"a VPN for marks without a bit of ours", "ip rule add pref 20000 not fwmark 0x1/0x1 " +
				"lookup 52; " + toVPN, nil, nil,
		},
		{
			"a way for some packets without a mark", "ip rule add pref 20000 to 203.0.113.0/24 " +
				"fwmark 0x0/0xffff lookup 52; " + toVPN, nil,
			[]string{"tells the router's own sockets", otherMark},
		},
		{
			"the mark of a VPN", "ip rule add pref 100 fwmark 0x80000/0xff0000 lookup main; " +
				"ip rule add pref 101 fwmark 0x80000/0xff0000 unreachable", nil, nil,
		},
		{
			"a user", "ip rule add pref 20000 uidrange 1000-1000 lookup 52", nil,
			[]string{"selects by the user of a program or machine", "route.exclude_uids"},
		},
		{
			"an interface", "ip rule add pref 20000 iif lan0 lookup 52", nil,
			[]string{"selects by the interface of a program or machine", "egress.interface"},
		},
		{
			"an uplink, before ours", "ip rule add pref 1001 iif wan0 lookup 52; " + toVPN, nil, nil,
		},
		{
			"an uplink with clients, before ours",
			"ip rule add pref 5270 iif wan0 lookup 52; " + toVPN,
			func(c *route.Config) { c.Sources = append(c.Sources, prefixes("198.51.100.0/24")...) },
			detour,
		},
		{
			"an uplink with clients behind a gateway, before ours",
			"ip rule add pref 5270 iif wan0 lookup 52; " + toVPN,
			func(c *route.Config) { c.Sources = append(c.Sources, prefixes("203.0.113.0/24")...) },
			detour,
		},
		{
			"a reverse-path filter", "nft 'table inet f { chain pre { type filter hook prerouting " +
				"priority 0; fib saddr . iif oif missing drop; }; }'", nil,
			[]string{
				"chain inet f pre disregards marks", "insert rule inet f pre iifname syntap0 accept",
			},
		},
		{
			"harmless reverse-path filters", "nft 'table inet f { chain pre { type filter hook " +
				"prerouting priority 0; fib saddr . mark . iif oif missing drop; " +
				"iifname wan0 fib saddr . iif oif missing drop; " +
				"iifname { wan0, lan0 } fib saddr . iif oif missing drop; " +
				"fib saddr oif missing drop; fib saddr type broadcast drop; }; }'", nil, nil,
		},
		{
			"a reverse-path filter that spares the TUN", "nft 'table inet f { chain pre { type " +
				"filter hook prerouting priority 0; iifname { syntap0 } accept; " +
				"iifname syntap0 accept; fib saddr . iif oif missing drop; }; }'", nil, nil,
		},
		{
			"a guard", "nft 'table ip filter { chain ts-input { iifname != tailscale0 " +
				"ip saddr 100.64.0.0/10 counter drop; }; }'", nil,
			[]string{
				"chain ip filter ts-input ties packets from 100.64.0.0/10",
				"add 100.64.0.0/10 to route.exclude",
			},
		},
		{
			"a guard of IPv6, by several interfaces", "nft 'table inet f { chain c { iif != " +
				"{ lan0, lo } ip6 saddr 2001:db8:1::/64 reject; }; }'", nil,
			[]string{"from 2001:db8:1::/64 to another interface", "add 2001:db8:1::/64 to"},
		},
		{
			"a guard of what stays outside", "nft 'table ip f { chain c { iifname != lan0 " +
				"ip saddr 192.0.2.0/24 drop; }; }'",
			func(c *route.Config) { c.Exclude = prefixes("192.0.2.0/24") }, nil,
		},
		{
			"no guards", "nft 'table inet f { chain c { iifname wan0 ip saddr 10.0.0.0/8 drop; " +
				"iif != lo ip daddr 127.0.0.0/8 drop; iifname != lo ip6 daddr ::1 drop; " +
				"iif != lo ip saddr 127.0.0.0/8 drop; " +
				"iifname != lan0 ip saddr 192.0.2.0/24 tcp dport 22 drop; " +
				"iifname != lan0 ip saddr 192.0.2.0/24 accept; " +
				"iifname != lan0 ip daddr 203.0.113.0/24 drop; iifname != lan0 drop; " +
				"iifname != lan0 ip saddr != 192.0.2.0/24 drop; }; chain d { iifname syntap0 " +
				"accept; iifname != lan0 ip saddr 192.0.2.0/24 drop; }; chain e { ct state " +
				"established,related accept; iifname != lan0 ip saddr 192.0.2.0/24 drop; }; }'",
			nil, nil,
		},
		{
			"a guard of an address", "nft 'table ip f { chain c { type filter hook prerouting " +
				"priority -300; iifname != wan0 ip daddr 198.51.100.1 drop; }; }'", nil,
			[]string{
				"chain ip f c ties packets to 198.51.100.1/32",
				"nft insert rule ip f c iifname syntap0 accept",
			},
		},
		{
			"a guard of a VPN's address", "ip rule add pref 30001 not fwmark 0xca6c lookup 51820; " +
				"nft 'table ip f { chain c { type filter hook prerouting priority -300; " +
				"iifname != wan0 ip daddr 198.51.100.1 drop; }; }'", nil, nil,
		},
		{
			"a guard whose rules come before ours", "ip link add tailscale0 type bridge; " +
				"ip link set tailscale0 addrgenmode none up; ip rule add pref 5270 lookup 52; " +
				"ip route add 100.64.0.0/10 dev tailscale0 table 52; nft 'table ip filter { " +
				"chain c { iifname != tailscale0 ip saddr 100.64.0.0/10 drop; }; }'", nil,
			[]string{"traffic to 100.64.0.0/10 goes past the TUN", "route.priority"},
		},
		{
			"IPsec of a machine", "ip xfrm policy add src 192.0.2.0/24 dst 203.0.113.0/24 dir out " +
				"tmpl src 198.51.100.1 dst 198.51.100.2 proto esp mode tunnel", nil,
			[]string{
				"IPsec policy from 192.0.2.0/24 to 203.0.113.0/24",
				"add 203.0.113.0/24 to route.exclude",
			},
		},
		{
			"IPsec of the host, and inbound", "for d in 'out src 198.51.100.1/32' " +
				"'in src 192.0.2.0/24' 'fwd src 192.0.2.0/24'; do set -- $d; ip xfrm policy add " +
				"$2 $3 dst 203.0.113.0/24 dir $1 tmpl src 198.51.100.1 dst 198.51.100.2 " +
				"proto esp mode tunnel; done", nil, nil,
		},
		{
			"packets off connection tracking", "nft 'table inet raw { chain out { type filter hook " +
				"output priority -300; udp sport 53 notrack; }; }'", nil,
			[]string{"chain inet raw out takes packets off connection tracking", ""},
		},
		{
			"packets off connection tracking, by iptables",
			"iptables -t raw -A OUTPUT -p udp --sport 53 -j CT --notrack", nil,
			[]string{"chain ip raw OUTPUT takes packets off connection tracking", ""},
		},
		{
			"a zone of connection tracking", "iptables -t raw -A OUTPUT -p udp -j CT --zone 7", nil, nil,
		},
		{
			"forwarding is off", "sysctl -qw net.ipv4.ip_forward=0", nil,
			[]string{"does not forward packets from 192.0.2.0/24", "net.ipv4.ip_forward=1"},
		},
		{
			"forwarding by interface", "sysctl -qw net.ipv4.ip_forward=0 " +
				"net.ipv4.conf.lan0.forwarding=1 net.ipv4.conf.wan0.forwarding=1", nil, nil,
		},
		{
			"a firewall drops", "nft 'table inet f { chain forward " + forward + "; }'", nil,
			[]string{
				"chain inet f forward drops", "insert rule inet f forward iifname syntap0 accept",
			},
		},
		{
			"iptables drops", "nft 'table ip filter { chain FORWARD " + forward + "; }'", nil,
			[]string{"chain ip filter FORWARD drops", "iptables -I FORWARD -i syntap0 -j ACCEPT"},
		},
		{
			"a firewall refuses the rest", "nft 'table inet f { chain forward { type filter hook " +
				"forward priority 10; iifname lan0 accept; counter reject; }; }'", nil,
			[]string{
				"chain inet f forward drops", "insert rule inet f forward iifname syntap0 accept",
			},
		},
		{
			"iptables refuses the rest", "iptables -A FORWARD -j REJECT", nil,
			[]string{"chain ip filter FORWARD drops", "iptables -I FORWARD -i syntap0 -j ACCEPT"},
		},
		{
			"ufw", "iptables -P FORWARD DROP; iptables -N ufw-before-forward; " +
				"iptables -A FORWARD -j ufw-before-forward", nil,
			[]string{
				"chain ip filter FORWARD drops",
				"ufw route allow in on syntap0 && ufw route allow out on syntap0",
			},
		},
		{
			"firewalld", "nft 'table inet firewalld { chain filter_FORWARD { type filter hook " +
				"forward priority 10; reject with icmpx admin-prohibited; }; }'", nil,
			[]string{
				"chain inet firewalld filter_FORWARD drops",
				"firewall-cmd --permanent --policy=to-syntap --set-target=ACCEPT; firewall-cmd --reload",
			},
		},
		{
			"a firewall refuses some", "nft 'table inet f { chain forward { type filter hook " +
				"forward priority 10; iifname lan0 reject; tcp dport 25 reject; accept; }; }'",
			nil, nil,
		},
		{
			"a firewall names the TUN in sets", "nft 'table inet f { chain forward " + forward +
				"; }; add rule inet f forward iifname { lan0, syntap0 } accept; " +
				"add rule inet f forward oifname vmap { lan0 : accept, syntap0 : accept }'", nil, nil,
		},
		{
			"a firewall accepts answers by one interface", "nft 'table inet f { chain input { type " +
				"filter hook input priority 0; policy drop; iifname wan0 ct state established " +
				"accept; }; }'", nil,
			[]string{"no rule accepts answers from syntap0", "ct state established,related accept"},
		},
		{
			"shorewall", "iptables -N net-fw; iptables -A net-fw -m conntrack --ctstate INVALID,NEW -j RETURN; " +
				"iptables -A net-fw -m conntrack --ctstate ESTABLISHED -j ACCEPT; iptables -P INPUT DROP; " +
				"iptables -A INPUT -i wan0 -j net-fw; iptables -A INPUT -m conntrack --ctstate NEW -j ACCEPT", nil,
			[]string{
				"chain ip filter INPUT drops",
				"iptables -I INPUT -i syntap0 -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
			},
		},
		{
			"a firewall accepts answers in another chain", "nft 'table inet f { chain answers { ct state established accept; }; chain input { type " +
				"filter hook input priority 0; policy drop; iif lo accept; jump answers; }; }'", nil, nil,
		},
		{
			"a firewall accepts answers by a map", "nft 'table inet f { chain input { type " +
				"filter hook input priority 0; policy drop; ct state vmap { established : accept, " +
				"invalid : drop }; }; }'", nil, nil,
		},
		{
			"a firewall that names the TUN", "nft 'table inet f { chain forward " + forward + "; };" +
				` add rule inet f forward iifname "syntap*" accept; add rule inet f forward oifname "syntap*" accept'`, nil, nil,
		},
		{
			"a firewall that names the TUN alone and the LAN", "nft 'table inet f { chain forward " + forward + "; };" +
				" add rule inet f forward iifname syntap0 accept; add rule inet f forward iifname lan0 accept'", nil, nil,
		},
		{
			"a firewall that accepts packets of the TUN alone", "nft 'table inet f { chain forward " + forward + "; };" +
				` add rule inet f forward iifname syntap0 accept; add rule inet f forward iifname br0 oifname wan0 accept'`, nil,
			[]string{"chain inet f forward drops", "insert rule inet f forward iifname syntap0 accept; insert rule"},
		},
		{
			"firewalld with a zone without a policy", firewalldZone("") + "'", nil,
			[]string{"chain inet firewalld filter_FORWARD drops", "--policy=to-syntap --set-target=ACCEPT"},
		},
		{
			"firewalld with a zone of the TUN that accepts", firewalldZone("accept") + "'", nil,
			[]string{"chain inet firewalld filter_FORWARD drops", "--policy=to-syntap --set-target=ACCEPT"},
		},
		{"firewalld with a zone of the LAN that accepts", firewalldZone("") + "; insert rule inet firewalld lan accept'", nil, nil},
		{
			"firewalld with a default zone that accepts",
			firewalldZone("") + "; insert rule inet firewalld public accept'", nil,
			[]string{"chain inet firewalld filter_FORWARD drops", "--policy=to-syntap --set-target=ACCEPT"},
		},
		{
			"a firewall that accepts all of the LAN", "nft 'table inet f { chain lan { accept; }; chain forward " + forward + "; };" +
				" add rule inet f forward ct state vmap { invalid : drop, established : accept, related : accept };" +
				" add rule inet f forward iifname vmap { wan0 : drop, lan0 : jump lan }'", nil, nil,
		},
		{
			"a firewall that accepts the LAN by its index", "nft 'table inet f { chain forward " + forward + "; };" +
				" add rule inet f forward ct state established,related accept; add rule inet f forward iif lan0 oif != lo accept'", nil, nil,
		},
		{
			"a firewall that accepts no answers", "nft 'table inet f { chain forward " + forward + "; };" +
				" add rule inet f forward iifname lan0 accept; add rule inet f forward ct state new accept'", nil,
			[]string{"chain inet f forward drops", "insert rule inet f forward iifname syntap0 accept"},
		},
		{
			"a firewall that accepts the LAN by the uplink", "iptables -P FORWARD DROP; iptables -A FORWARD -m state --state " +
				"RELATED,ESTABLISHED -j ACCEPT; iptables -A FORWARD -i lan0 -o wan0 -j ACCEPT; " +
				"iptables -A FORWARD -i lan0 -p tcp --dport 22 -j ACCEPT; iptables -A FORWARD -i lan0 -d 10.0.0.0/8 -j ACCEPT", nil,
			[]string{"chain ip filter FORWARD drops", "iptables -I FORWARD -i syntap0 -j ACCEPT"},
		},
		{
			"libvirt and Docker", "iptables -P FORWARD DROP; iptables -N ISOLATION; iptables -N BRIDGES; iptables -A FORWARD -j ISOLATION; " +
				"iptables -A FORWARD -j BRIDGES; iptables -A ISOLATION -i wan0 ! -o wan0 -j DROP; iptables -A ISOLATION -j RETURN; " +
				"iptables -A BRIDGES -o lan0 -d 192.0.2.0/24 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT; " +
				"iptables -A BRIDGES -i lan0 ! -o lan0 -s 192.0.2.0/24 -m comment --comment bridge -j ACCEPT", nil, nil,
		},
		{
			"netavark", "for t in iptables ip6tables; do $t -P FORWARD DROP; $t -N NETAVARK; $t -A FORWARD -j NETAVARK; done; " +
				"iptables -A NETAVARK -d 10.90.0.0/24 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT; " +
				"iptables -A NETAVARK -s 10.90.0.0/24 -j ACCEPT; ip6tables -A NETAVARK -j ACCEPT", nil,
			[]string{"chain ip filter FORWARD drops", "iptables -I FORWARD -i syntap0 -j ACCEPT"},
		},
		{
			"a firewall that refuses some machines", "nft 'table inet f { chain forward " + forward + "; };" +
				" add rule inet f forward ct state established,related accept; add rule inet f forward ip saddr 192.0.2.9 drop;" +
				" add rule inet f forward ip saddr != 192.0.0.0/16 drop; add rule inet f forward ip6 saddr 2001:db8:1::/64 accept;" +
				" add rule inet f forward ip saddr 192.0.2.0/24 accept'", nil, nil,
		},
		{
			"iptables-legacy drops", "iptables-legacy -P FORWARD DROP; iptables-legacy -A FORWARD -i lan0 -o wan0 -j ACCEPT", nil,
			[]string{
				"the iptables-legacy chain ip filter FORWARD drops",
				"iptables-legacy -I FORWARD -i syntap0 -j ACCEPT && iptables-legacy -I FORWARD -o syntap0 -j ACCEPT",
			},
		},
		{
			"iptables-legacy refuses the rest", "ip6tables-legacy -N lan; ip6tables-legacy -A FORWARD -i lan0 -j lan; " +
				"ip6tables-legacy -A FORWARD -j LOG; ip6tables-legacy -A FORWARD -j REJECT", nil,
			[]string{"the iptables-legacy chain ip6 filter FORWARD drops", "ip6tables-legacy -I FORWARD -o syntap0 -j ACCEPT"},
		},
		{
			"iptables-legacy accepts the TUN", "for t in iptables-legacy ip6tables-legacy; do $t -P FORWARD DROP; $t -N tun; $t -N none; " +
				"$t -A FORWARD -p tcp --dport 25 -j DROP; $t -A FORWARD -i lan0 -j none; $t -A FORWARD -g tun; " +
				"$t -A tun -i syntap+ -j ACCEPT; $t -A tun -o syntap+ -j ACCEPT; done", nil, nil,
		},
		{
			"iptables-legacy accepts the LAN", "for t in iptables-legacy ip6tables-legacy; do $t -P FORWARD DROP; " +
				"$t -A FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT; $t -A FORWARD ! -i wan0 -j ACCEPT; done", nil, nil,
		},
		{
			"iptables-legacy drops answers", "iptables-legacy -P INPUT DROP; iptables-legacy -A INPUT -i wan0 -j ACCEPT", nil,
			[]string{
				"the iptables-legacy chain ip filter INPUT drops",
				"iptables-legacy -I INPUT -i syntap0 -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
			},
		},
		{
			"a reverse-path filter of iptables-legacy", "iptables-legacy -t raw -A PREROUTING -m rpfilter --invert -j DROP", nil,
			[]string{
				"reverse-path filter in the iptables-legacy chain ip raw PREROUTING",
				"iptables-legacy -t raw -I PREROUTING -i syntap0 -j ACCEPT",
			},
		},
		{
			"a guard of iptables-legacy", "iptables-legacy -A INPUT -s 100.64.0.0/10 ! -i tailscale0 -j DROP", nil,
			[]string{"iptables-legacy chain ip filter INPUT ties packets from 100.64.0.0/10", "add 100.64.0.0/10 to route.exclude"},
		},
		{
			"iptables-legacy lets users out", "iptables-legacy -A OUTPUT -m owner --uid-owner 4711 -j ACCEPT; " +
				"iptables-legacy -P OUTPUT DROP", nil,
			[]string{"iptables-legacy chain ip filter OUTPUT tells packets by the user", "iptables-legacy -I OUTPUT -m mark --mark"},
		},
		{
			"packets off connection tracking, by iptables-legacy",
			"iptables-legacy -t raw -A OUTPUT -p udp --sport 53 -j CT --notrack", nil,
			[]string{"iptables-legacy chain ip raw OUTPUT takes packets off connection tracking", ""},
		},
		{
			"firewalld with a zone and a policy", firewalldZone("") + "; add rule inet firewalld policies oifname syntap0 jump to-syntap'",
			nil, nil,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			lab := tuntest.NewLab(t)
			c := tracking()
			c.Sources = prefixes("192.0.2.0/24", "2001:db8:1::/64")
			if tt.change != nil {
				tt.change(&c)
			}
			lab.Router.Run("env", "XTABLES_LOCKFILE="+filepath.Join(t.TempDir(), "lock"), "sh", "-ec", tt.setUp)
			before, legacy := lab.Router.State(), lab.Router.Run("cat", "/proc/net/ip_tables_names", "/proc/net/ip6_tables_names")
			var all []route.Notice
			if err := lab.Router.Do(func() (err error) {
				all, err = route.Notices(c)
				return err
			}); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(before, lab.Router.State()); diff != "" {
				t.Errorf("Notices changed (-before +after):\n%s", diff)
			}
			if now := lab.Router.Run("cat", "/proc/net/ip_tables_names", "/proc/net/ip6_tables_names"); now != legacy {
				t.Errorf("Notices made tables of iptables-legacy: before %q, now %q", legacy, now)
			}
			switch {
			case tt.want == nil && len(all) > 0:
				t.Errorf("Notices = %+v, want none", all)
			case tt.want == nil:
			case len(all) != 1 || !strings.Contains(all[0].Text, tt.want[0]),
				!strings.Contains(all[0].Hint, tt.want[1]):
				t.Errorf("Notices = %+v, want one of %q", all, tt.want)
			}
		})
	}
}

// firewalldZone returns the command for the rules of firewalld with a zone of the TUN and one of
// the LAN; target is that of the TUN's zone. The rules of policies come next.
func firewalldZone(target string) string {
	return `nft 'table inet firewalld {
		chain filter_FORWARD { type filter hook forward priority 10; ct state { established, related } accept
			iifname lo accept; jump zones; reject with icmpx admin-prohibited; }
		chain to-syntap { accept; }
		chain policies { }
		chain zones { iifname syntap0 goto syntap; iifname lan0 goto lan; goto public; }
		chain syntap { jump policies; oifname syntap0 accept; ` + target + `; }
		chain lan { jump policies; oifname lan0 accept; reject with icmpx admin-prohibited; }
		chain public { jump policies; reject with icmpx admin-prohibited; }; }`
}

// TestVRF surveys the links of a VRF, as the kernel lists them: not every kernel has any.
func TestVRF(t *testing.T) {
	t.Parallel()
	links := []netlink.Link{
		&netlink.Vrf{LinkAttrs: netlink.LinkAttrs{Name: "blue"}, Table: 100},
		&netlink.Device{LinkAttrs: netlink.LinkAttrs{Name: "mgmt0", Slave: &netlink.VrfSlave{Table: 100}}},
		&netlink.Device{LinkAttrs: netlink.LinkAttrs{Name: "lan0", Slave: &netlink.BondSlave{}}},
		&netlink.Device{LinkAttrs: netlink.LinkAttrs{Name: "wan0"}},
	}
	detours, notices := route.SurveyLinks(tracking(), links)
	if want := []string{"blue", "mgmt0"}; !slices.Equal(detours, want) || len(notices) != 1 ||
		!strings.Contains(notices[0].Text, "the VRF blue has routes of its own") {
		t.Errorf("detours by %q, want %q; notices %+v", detours, want, notices)
	}
	c := tracking()
	c.Priority = 900 // before the kernel's rule for VRFs
	if detours, notices := route.SurveyLinks(c, links); len(detours)+len(notices) != 0 {
		t.Errorf("behind the router's rules: detours by %q, notices %+v", detours, notices)
	}
}

// TestSurvey reads the plan for hosts with rules and routes.
func TestSurvey(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, setUp string
		want        []string // lines of the plan, but for white space
		not         string   // in none of them
	}{
		{
			"uplinks", "ip route add default dev lan0 table 100; ip link add down0 type bridge",
			[]string{"elements = { \"lan0\", \"wan0\" }"},
			"down0",
		},
		{
			"an overlay", "ip link add flannel.1 type vxlan id 1 dev wan0 dstport 8472; ip link set flannel.1 up; " +
				"ip route add 203.0.113.128/26 via 203.0.113.129 dev flannel.1 onlink",
			[]string{"elements = { \"wan0\" }"},
			"flannel.1",
		},
		{
			"uplinks of nexthop objects", "sysctl -qw net.ipv4.nexthop_compat_mode=0; ip route del default; " +
				"ip -6 route del default; ip nexthop add id 7 via 198.51.100.2 dev wan0; " +
				"ip nexthop add id 8 dev lan0; ip route add default nhid 7",
			[]string{"elements = { \"wan0\" }"},
			"",
		},
		{
			"the mark of a VPN", "ip rule add not fwmark 0xca6c lookup 51820",
			[]string{"meta mark & 0xffffffff == 0xca6c accept"},
			"",
		},
		{
			"bits of a VPN's mark", "ip -6 rule add fwmark 0x80000/0xff0000 lookup main",
			[]string{"meta mark & 0xff0000 == 0x80000 accept"},
			"",
		},
		{"a mark of programs", "ip rule add fwmark 0x10 lookup 100", nil, "0x10 accept"},
		{
			"bits of our mark", "ip rule add pref 789 fwmark 0x1/0x1 lookup 310",
			[]string{"ip rule add pref 788 fwmark 0x5359 goto 790", "ip rule add pref 790 nop"},
			"ip -6 rule add pref 788",
		},
		{
			"bits that our mark lacks", "ip rule add pref 789 fwmark 0x0/0xffff lookup 310",
			[]string{"ip rule add pref 789 fwmark 0x5359 lookup 310"},
			"pref 788",
		},
		{
			"a VPN for marks without a bit of ours",
			"ip -6 rule add pref 789 not fwmark 0x1/0x1 lookup 310 suppress_prefixlength 1",
			[]string{"ip -6 rule add pref 789 fwmark 0x5359 lookup 310 suppress_prefixlength 1"},
			"pref 788",
		},
		{
			"redirected to a proxy", "nft 'table ip nat { chain output { type nat hook output " +
				"priority -100; jump proxy; }; chain proxy { tcp dport 80 redirect to :12345; }; }'",
			[]string{"socket mark 0x5359 meta skuid 0 dnat ip to ip daddr"},
			"",
		},
		{
			"redirected by iptables", "iptables -t nat -A OUTPUT -p tcp -j REDIRECT --to-ports 12345",
			[]string{"dnat ip6 to ip6 daddr"},
			"",
		},
		{
			"redirected by iptables-legacy", "iptables-legacy -t nat -N proxy; iptables-legacy -t nat -A OUTPUT -p tcp -j proxy; " +
				"iptables-legacy -t nat -A proxy -p tcp -j REDIRECT --to-ports 12345",
			[]string{"dnat ip6 to ip6 daddr"},
			"",
		},
		{
			"translated by iptables to the loopback",
			"iptables -t nat -A OUTPUT -p udp --dport 53 -j DNAT --to-destination 127.0.0.1:5353",
			[]string{"dnat ip to ip daddr"},
			"",
		},
		{
			"a published port and a service", "iptables -t nat -A OUTPUT -p tcp --dport 8080 -j DNAT " +
				"--to-destination 192.0.2.2:80; nft 'table ip n { chain pre { type nat hook " +
				"prerouting priority -100; tcp dport 80 redirect to :12345; }; }'",
			nil, "dnat ip",
		},
		{
			"bits of our mark, in two rules", "ip rule add pref 789 fwmark 0x1/0x1 lookup 310; " +
				"ip rule add pref 790 fwmark 0x8/0x8 lookup 311",
			[]string{"ip rule add pref 788 fwmark 0x5359 goto 791", "ip rule add pref 791 nop"},
			"pref 789",
		},
		{
			"bits of the mark of packets that enter",
			"ip rule add pref 789 fwmark 0x10000000/0x10000000 lookup 310",
			[]string{"ip rule add pref 5360 fwmark 0x535900 lookup 5359"},
			"0x53590000",
		},
		{
			"a detour", "ip rule add pref 100 lookup 52; ip route add default dev lan0 table 52",
			[]string{`oifname "lan0" accept`},
			`oifname "wan0" accept`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			lab := tuntest.NewLab(t)
			lab.Router.Run("env", "XTABLES_LOCKFILE="+filepath.Join(t.TempDir(), "lock"), "sh", "-ec", tt.setUp)
			var plan []string
			if err := lab.Router.Do(func() (err error) {
				plan, err = route.Plan(tracking(), 1500, 1)
				return err
			}); err != nil {
				t.Fatal(err)
			}
			text := strings.Join(plan, "\n")
			for _, line := range tt.want {
				if !strings.Contains(text, line) {
					t.Errorf("plan lacks %q:\n%s", line, text)
				}
			}
			if tt.not != "" && strings.Contains(text, tt.not) {
				t.Errorf("plan has %q:\n%s", tt.not, text)
			}
		})
	}
}
