package e2e_test

import (
	"fmt"
	"strings"
	"testing"
)

// hostKind is a set-up of a host as they are found. Its lab's host has a LAN, containers on a
// bridge with a published port, and a server.
type hostKind struct {
	name  string
	said  string // the warnings of run, as regular expressions, one a line
	setUp func(t *testing.T, h *hostLab)
}

// may begins a warning that run gives only if it runs long enough.
const may = "may: "

// hostKinds are the rows of configs/hosts.md.
var hostKinds = []hostKind{
	{"plain", "", func(*testing.T, *hostLab) {}},
	{"VPN by rules (wg-quick)", "", func(t *testing.T, h *hostLab) { h.addVPN(t) }},
	{"VPN with a kill switch", "", func(t *testing.T, h *hostLab) {
		h.addVPN(t)
		h.Router.Run("nft", fmt.Sprintf(`
			table inet killswitch { chain output { type filter hook output priority 0;
				oifname { "vpn0", "lo", "lan0", "docker0" } accept
				meta mark %d accept
				fib daddr type local accept
				ip daddr 198.51.100.0/24 accept
				ip6 daddr { 2001:db8:2::/64, ff00::/8, fe80::/10 } accept
				reject
			}
			}`, wgMark))
	}},
	{"VPN before syntap (Tailscale's exit node)", `may: packets that should have entered the TUN left by another interface, unrecorded" .*interface=vpn0
		rule "pref 5270 lookup 52" comes before the router's own.*hint="set route.priority to 5262 or less"`, func(t *testing.T, h *hostLab) {
		h.addVPNLink(t, 52)
		for _, f := range []string{"-4", "-6"} {
			for _, rule := range []string{"5210 fwmark 0x80000/0xff0000 lookup main", "5230 fwmark 0x80000/0xff0000 lookup default", "5250 fwmark 0x80000/0xff0000 type unreachable", "5270 lookup 52"} {
				h.Router.Run("ip", strings.Fields(f+" rule add pref "+rule)...)
			}
			h.Router.Run("ip", f, "route", "add", "throw", map[string]string{"-4": "192.0.2.0/24", "-6": "2001:db8:1::/64"}[f], "table", "52")
			h.Router.Run("ip", f, "route", "add", "throw", map[string]string{"-4": "203.0.113.128/26", "-6": "2001:db8:5::/64"}[f], "table", "52")
			h.Router.Run("ip", f, "route", "add", "throw", map[string]string{"-4": "198.51.100.0/24", "-6": "2001:db8:2::/64"}[f], "table", "52")
		}
		h.more["the VPN's own socket"] = func(is6 bool) call { return call{ns: h.Router, to: h.far(is6), mark: 0x80000} }
	}},
	{"default route in another table", "", func(_ *testing.T, h *hostLab) { h.moveDefaultRoute() }},
	{"two uplinks", `rule "pref 20000 from .* lookup 101" selects by the address
		rule "pref 20001 fwmark 0x10 lookup 101" selects by the mark
		rule "pref 20002 iif docker0 lookup 101" selects by the interface`, func(t *testing.T, h *hostLab) { h.addUplink(t) }},
	{"Docker", "chain inet filter forward drops forwarded packets", func(_ *testing.T, h *hostLab) {
		h.Router.Run("nft", `
			table inet filter { chain forward { type filter hook forward priority 0; policy drop;
				ct state established,related accept
				iifname "docker0" accept
				ct status dnat accept
				reject with icmpx type admin-prohibited
			}
			}`)
	}},
	{"forwarding by interface (systemd-networkd)", "", func(_ *testing.T, h *hostLab) {
		h.Router.Sysctl("net.ipv4.ip_forward", "0")
		for _, link := range []string{"lan0", "wan0", "docker0"} {
			h.Router.Sysctl("net.ipv4.conf."+link+".forwarding", "1")
		}
	}},
	{"cloud", `denied by egress.deny" .*destination=169.254.169.254`, func(_ *testing.T, h *hostLab) {
		h.far4, h.far6 = "169.254.169.254", "fd00:ec2::254"
		h.Router.Run("ip", "route", "add", "169.254.169.254", "dev", "wan0")
		h.Server.AddAddress("eth0", "169.254.169.254/32")
		h.Server.AddAddress("lo", "fd00:ec2::254/128")
		go h.world.datagrams(h.Server.ListenPacket("udp", "169.254.169.254:"+witnessPort))
		go h.world.datagrams(h.Server.ListenPacket("udp", "[fd00:ec2::254]:"+witnessPort))
	}},
	{"strict rp_filter", "", func(_ *testing.T, h *hostLab) { h.strictReversePath() }},
	{"strict rp_filter with src_valid_mark", "", func(_ *testing.T, h *hostLab) {
		h.strictReversePath()
		h.Router.Sysctl("net.ipv4.conf.all.src_valid_mark", "1")
	}},
	{"firewalld", "", func(_ *testing.T, h *hostLab) {
		h.Router.Run("nft", `
			table inet firewalld { chain filter_PREROUTING { type filter hook prerouting priority -140;
				icmpv6 type { nd-router-advert, nd-neighbor-solicit } accept
				fib saddr . mark . iif oif missing drop
			}
			}`)
	}},
	{"ufw", "chain inet ufw forward drops forwarded packets", func(_ *testing.T, h *hostLab) { h.addFirewall() }},
	{"ufw that accepts the TUN", "", func(_ *testing.T, h *hostLab) {
		h.addFirewall()
		h.Router.Run("nft", `insert rule inet ufw forward iifname syntap0 accept; insert rule inet ufw forward oifname syntap0 accept`)
	}},
	{"marks restored (CONNMARK)", "", func(_ *testing.T, h *hostLab) {
		h.Router.Run("nft", `
			table inet connmark {
			chain output { type route hook output priority -150; meta mark set ct mark; }
			chain prerouting { type filter hook prerouting priority -150; meta mark set ct mark; }
			chain postrouting { type filter hook postrouting priority -150; ct mark set meta mark; }
			}`)
	}},
	{"zone of connection tracking", "", func(_ *testing.T, h *hostLab) {
		h.Router.Run("nft", `
			table inet zone {
			chain prerouting { type filter hook prerouting priority -300;
				iifname { "wan0", "lan0", "docker0" } ct zone set 7
			}
			chain output { type filter hook output priority -300;
				oifname { "wan0", "lan0", "docker0" } ct zone set 7
			}
			chain input { type filter hook input priority 0; policy drop;
				iifname "lo" accept
				ct state established,related accept
				meta l4proto { icmp, ipv6-icmp } accept
				th dport `+witnessPort+` accept
			}
			}`)
	}},
	{"connections off tracking (notrack)", "", func(_ *testing.T, h *hostLab) {
		// The clients' own ports are to be such as the kernel gives to clients, but not to the
		// router.
		h.Router.Sysctl("net.ipv4.ip_local_port_range", "16000 60999")
		h.Router.Sysctl("net.ipv4.ip_local_reserved_ports", "20001-20500")
		h.Router.Run("nft", `
			table inet raw {
			chain prerouting { type filter hook prerouting priority -300;
				fib daddr type local meta l4proto { tcp, udp } th dport `+witnessPort+` notrack
			}
			chain output { type filter hook output priority -300;
				meta l4proto { tcp, udp } th dport `+witnessPort+` notrack
				meta l4proto { tcp, udp } th sport `+witnessPort+` notrack
			}
			}`)
	}},
	{"bits of marks (kube-proxy and TPROXY)", `rule "pref 789 fwmark 0x1/0x1 lookup 310" selects by the mark`, func(_ *testing.T, h *hostLab) {
		h.Router.Run("nft", `
			table inet kube { chain postrouting { type nat hook postrouting priority 90;
				meta mark & 0x4000 == 0 return
				meta mark set meta mark ^ 0x4000
				masquerade
			}
			}`)
		for _, f := range []string{"-4", "-6"} {
			h.Router.Run("ip", f, "rule", "add", "pref", "789", "fwmark", "0x1/0x1", "lookup", "310")
			h.Router.Run("ip", f, "route", "add", "local", "default", "dev", "lo", "table", "310")
		}
	}},
}
