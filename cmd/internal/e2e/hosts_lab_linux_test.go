package e2e_test

import (
	"fmt"
	"net"
	"testing"

	"syntap/tun/tuntest"
)

// hostLab is a lab with more around the host.
type hostLab struct {
	*tuntest.Lab
	container, lan, host, world *witness
	others                      []*witness
	containers                  *tuntest.Namespace
	far4, far6                  string // that the clients call
	caller4, caller6            string // of the world, calling the host and its LAN
	more                        map[flowName]func(is6 bool) call
	names                       map[string]string // of addresses, for the table
	sources                     int               // client ports that cells has given out
}

// flowName is a column of configs/hosts.md.
type flowName string

// Addresses of the container, from documentation ranges.
const (
	containerAddr4 = "203.0.113.130"
	containerAddr6 = "2001:db8:5::2"
)

// newHostLab makes the lab of a plain host: a gateway that masquerades the IPv4 of its LAN and of
// its containers, and publishes a port of a container.
func newHostLab(t *testing.T) *hostLab {
	t.Helper()
	h := &hostLab{
		Lab: tuntest.NewLab(t), containers: tuntest.NewNamespace(t),
		far4: tuntest.ServerAddr4, far6: tuntest.ServerAddr6, caller4: tuntest.ServerAddr4, caller6: tuntest.ServerAddr6,
		more: make(map[flowName]func(is6 bool) call),
		names: map[string]string{
			tuntest.RouterAddr4: "the host", tuntest.RouterAddr6: "the host", tuntest.ClientAddr6: "the client", tuntest.ClientAddr4: "the client",
			"192.0.2.1": "the host", "2001:db8:1::1": "the host", tuntest.ServerAddr4: "the caller", tuntest.ServerAddr6: "the caller", "198.51.100.2": "the caller", "2001:db8:2::2": "the caller",
			"203.0.113.129": "the host", "2001:db8:5::1": "the host", containerAddr4: "the client", containerAddr6: "the client",
		},
	}
	h.containers.Sysctl("net.ipv6.conf.default.accept_dad", "0")
	h.Router.Sysctl("net.ipv4.icmp_ratelimit", "0") // each client is told that it is refused
	h.Router.Sysctl("net.ipv6.icmp.ratelimit", "0")
	h.Router.Run("ip", "link", "add", "docker0", "type", "bridge")
	h.Router.Run("ip", "link", "set", "docker0", "up")
	h.Router.Join("veth0", h.containers, "eth0")
	h.Router.Run("ip", "link", "set", "veth0", "master", "docker0")
	h.Router.AddAddress("docker0", "203.0.113.129/26")
	h.Router.AddAddress("docker0", "2001:db8:5::1/64")
	h.containers.AddAddress("eth0", containerAddr4+"/26")
	h.containers.AddAddress("eth0", containerAddr6+"/64")
	h.containers.AddRoute("0.0.0.0/0", "203.0.113.129")
	h.containers.AddRoute("::/0", "2001:db8:5::1")
	h.Router.Run("nft", `
		table inet nat {
			chain prerouting { type nat hook prerouting priority -100;
				fib daddr type local meta l4proto { tcp, udp } th dport 8080 dnat ip to `+containerAddr4+`:`+witnessPort+`
				fib daddr type local meta l4proto { tcp, udp } th dport 8080 dnat ip6 to [`+containerAddr6+`]:`+witnessPort+`
			}
			chain output { type nat hook output priority -100;
				fib daddr type local meta l4proto { tcp, udp } th dport 8080 dnat ip to `+containerAddr4+`:`+witnessPort+`
				fib daddr type local meta l4proto { tcp, udp } th dport 8080 dnat ip6 to [`+containerAddr6+`]:`+witnessPort+`
			}
			chain postrouting { type nat hook postrouting priority 100;
				ip saddr 203.0.113.128/26 oifname != "docker0" masquerade
				ip6 saddr 2001:db8:5::/64 oifname != "docker0" masquerade
				ip saddr 192.0.2.0/24 oifname { "wan0", "wan1", "vpn0" } masquerade
			}
		}`)
	h.container = bearWitness(h.containers, "container")
	h.lan = bearWitness(h.Client, "LAN")
	h.host = bearWitness(h.Router, "host")
	h.world = bearWitness(h.Server, "world", tuntest.ServerAddr4, tuntest.ServerAddr6)
	return h
}

// sourcesOfLAN is a config of a gateway: its LAN is named, its containers are masqueraded.
const sourcesOfLAN = `
tun: {name: syntap0, sources: [host, 192.0.2.0/24, "2001:db8:1::/64"]}
tap: {log: [{format: json, path: DIR/handshakes.json}]}
`

func (h *hostLab) witnesses() []*witness {
	return append([]*witness{h.container, h.lan, h.host, h.world}, h.others...)
}

// wgMark is that of the VPN's own sockets.
const wgMark = 0xca6c

// addVPN has the host reach the world by a VPN, as wg-quick does it: by rules after main, with a
// mark for the VPN's own socket, and with a table that guards the VPN's address.
func (h *hostLab) addVPN(t *testing.T) {
	t.Helper()
	h.addVPNLink(t, 51820)
	for _, f := range []string{"-4", "-6"} {
		h.Router.Run("ip", f, "rule", "add", "not", "fwmark", fmt.Sprint(wgMark), "lookup", "51820")
		h.Router.Run("ip", f, "rule", "add", "lookup", "main", "suppress_prefixlength", "0")
	}
	h.guardVPN()
	h.more["the VPN's own socket"] = func(is6 bool) call { return call{ns: h.Router, to: h.far(is6), mark: wgMark} }
}

// guardVPN drops packets to the VPN's address that come in by another interface (CVE-2019-14899),
// and keeps the mark of the VPN's own datagrams, as wg-quick does.
func (h *hostLab) guardVPN() {
	h.Router.Sysctl("net.ipv4.conf.all.src_valid_mark", "1")
	for family, address := range map[string]string{"ip": "203.0.113.193", "ip6": "2001:db8:6::1"} {
		h.Router.Run("nft", fmt.Sprintf(`
			table %[1]s wg-quick-vpn0 {
				chain preraw { type filter hook prerouting priority -300;
					iifname != "vpn0" %[1]s daddr %[2]s fib saddr type != local drop
				}
				chain premangle { type filter hook prerouting priority -150;
					meta l4proto udp meta mark set ct mark
				}
				chain postmangle { type filter hook postrouting priority -150;
					meta l4proto udp meta mark %[3]d ct mark set meta mark
				}
			}`, family, address, wgMark))
	}
}

// addVPNLink lays a link to a VPN in which the world's addresses are another machine's, with
// default routes in a table.
func (h *hostLab) addVPNLink(t *testing.T, table int) {
	t.Helper()
	vpn := tuntest.NewNamespace(t)
	vpn.Sysctl("net.ipv6.conf.default.accept_dad", "0")
	h.Router.Join("vpn0", vpn, "eth0")
	h.Router.AddAddress("vpn0", "203.0.113.193/30")
	h.Router.AddAddress("vpn0", "2001:db8:6::1/64")
	vpn.AddAddress("eth0", "203.0.113.194/30")
	vpn.AddAddress("eth0", "2001:db8:6::2/64")
	vpn.AddAddress("lo", tuntest.ServerAddr4+"/32")
	vpn.AddAddress("lo", tuntest.ServerAddr6+"/128")
	vpn.AddRoute("0.0.0.0/0", "203.0.113.193")
	vpn.AddRoute("::/0", "2001:db8:6::1")
	h.Router.Run("ip", "route", "add", "default", "via", "203.0.113.194", "table", fmt.Sprint(table))
	h.Router.Run("ip", "-6", "route", "add", "default", "via", "2001:db8:6::2", "table", fmt.Sprint(table))
	h.others = append(h.others, bearWitness(vpn, "VPN", tuntest.ServerAddr4, tuntest.ServerAddr6))
	h.caller4, h.caller6 = "198.51.100.2", "2001:db8:2::2" // answers to others go into the VPN
	h.names["203.0.113.193"], h.names["2001:db8:6::1"] = "the host", "the host"
}

// moveDefaultRoute puts the default routes into a table that a rule leads to, after one that keeps
// to main's other routes.
func (h *hostLab) moveDefaultRoute() {
	for f, gateway := range map[string]string{"-4": "198.51.100.2", "-6": "2001:db8:2::2"} {
		h.Router.Run("ip", f, "route", "del", "default")
		h.Router.Run("ip", f, "route", "add", "default", "via", gateway, "dev", "wan0", "table", "100")
		h.Router.Run("ip", f, "rule", "add", "pref", "19999", "lookup", "main", "suppress_prefixlength", "0")
		h.Router.Run("ip", f, "rule", "add", "pref", "20000", "lookup", "100")
	}
}

// Addresses of the host at its second uplink.
const (
	secondAddr4 = "203.0.113.201"
	secondAddr6 = "2001:db8:7::1"
	secondMark  = 0x10
)

// addUplink gives the host a second uplink, which packets with its address leave by, those with a
// mark and those of containers.
func (h *hostLab) addUplink(t *testing.T) {
	t.Helper()
	isp := tuntest.NewNamespace(t)
	isp.Sysctl("net.ipv6.conf.default.accept_dad", "0")
	h.Router.Join("wan1", isp, "eth0")
	h.Router.AddAddress("wan1", secondAddr4+"/29")
	h.Router.AddAddress("wan1", secondAddr6+"/64")
	isp.AddAddress("eth0", "203.0.113.202/29")
	isp.AddAddress("eth0", "2001:db8:7::2/64")
	isp.AddAddress("lo", tuntest.ServerAddr4+"/32")
	isp.AddAddress("lo", tuntest.ServerAddr6+"/128")
	isp.AddRoute("0.0.0.0/0", secondAddr4)
	isp.AddRoute("::/0", secondAddr6)
	for f, gateway := range map[string]string{"-4": "203.0.113.202", "-6": "2001:db8:7::2"} {
		address := map[string]string{"-4": secondAddr4, "-6": secondAddr6}[f]
		h.Router.Run("ip", f, "route", "add", "default", "via", gateway, "dev", "wan1", "table", "101")
		h.Router.Run("ip", f, "rule", "add", "pref", "19999", "lookup", "main", "suppress_prefixlength", "0")
		h.Router.Run("ip", f, "rule", "add", "pref", "20000", "from", address, "lookup", "101")
		h.Router.Run("ip", f, "rule", "add", "pref", "20002", "iif", "docker0", "lookup", "101")
		h.Router.Run("ip", f, "rule", "add", "pref", "20001", "fwmark", fmt.Sprint(secondMark), "lookup", "101")
	}
	h.others = append(h.others, bearWitness(isp, "second uplink", tuntest.ServerAddr4, tuntest.ServerAddr6))
	h.caller4, h.caller6 = "198.51.100.2", "2001:db8:2::2" // answers of containers to others leave by the second uplink
	h.names[secondAddr4], h.names[secondAddr6] = "the host", "the host"
	const port = "7001" // of servers that answer by the second address
	for _, a := range []string{secondAddr4, secondAddr6} {
		go serveAll(h.Router.Listen("tcp", net.JoinHostPort(a, port)), h.host.greet)
		go h.host.datagrams(h.Router.ListenPacket("udp", net.JoinHostPort(a, port)))
	}
	h.more["host, from the second uplink's address"] = func(is6 bool) call {
		return call{ns: h.Router, to: h.far(is6), from: pick(is6, secondAddr4, secondAddr6)}
	}
	h.more["host, with the second uplink's mark"] = func(is6 bool) call {
		return call{ns: h.Router, to: h.far(is6), mark: secondMark}
	}
	h.more["inbound by the second uplink"] = func(is6 bool) call {
		return call{ns: isp, to: pick(is6, secondAddr4, secondAddr6), port: port, from: pick(is6, tuntest.ServerAddr4, tuntest.ServerAddr6)}
	}
}

func (h *hostLab) strictReversePath() {
	for _, key := range []string{"all", "default", "wan0", "lan0", "docker0"} {
		h.Router.Sysctl("net.ipv4.conf."+key+".rp_filter", "1")
	}
}

// addFirewall drops incoming and forwarded packets by default, and lets out packets that leave by a
// known interface.
func (h *hostLab) addFirewall() {
	h.Router.Run("nft", `
		table inet ufw {
			chain input { type filter hook input priority 0; policy drop;
				iifname "lo" accept
				ct state established,related accept
				ct state invalid drop
				meta l4proto { icmp, ipv6-icmp } accept
				th dport `+witnessPort+` accept
			}
			chain output { type filter hook output priority 0; policy drop;
				ct state established,related accept
				oifname { "lo", "wan0", "lan0", "docker0" } accept
				meta l4proto ipv6-icmp accept
			}
			chain forward { type filter hook forward priority 0; policy drop;
				ct state established,related accept
				iifname { "lan0", "docker0" } oifname "wan0" accept
				ct status dnat accept
				iifname "wan0" oifname "lan0" accept
				reject with icmpx type admin-prohibited
			}
		}`)
}

// pick returns the address of a family.
func pick(is6 bool, v4, v6 string) string {
	if is6 {
		return v6
	}
	return v4
}

// far returns the address that clients call.
func (h *hostLab) far(is6 bool) string { return pick(is6, h.far4, h.far6) }

// caller returns the world's address that inbound calls come from.
func (h *hostLab) caller(is6 bool) string { return pick(is6, h.caller4, h.caller6) }
