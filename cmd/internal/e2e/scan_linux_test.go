package e2e_test

import (
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// TestScan has nmap look at the server's ports through the router and without it: the tables must
// be the same.
func TestScan(t *testing.T) {
	t.Parallel()
	requireTools(t, "nmap")
	lab := tuntest.NewLab(t)
	lab.Server.Run("nft", `
		add table inet scan
		add chain inet scan in { type filter hook input priority 0; }
		add rule inet scan in tcp dport 100-102 drop
		add rule inet scan in tcp dport 110-112 reject with icmpx host-unreachable
		add rule inet scan in tcp dport 120-122 reject with icmpx admin-prohibited
		add rule inet scan in tcp dport 130-132 reject with tcp reset`)
	lab.Server.Sysctl("net.ipv4.icmp_ratelimit", "0")
	lab.Server.Sysctl("net.ipv6.icmp.ratelimit", "0")
	for _, host := range addresses() {
		for _, port := range []string{"22", "80", "443", "999"} {
			lab.Server.Listen("tcp", net.JoinHostPort(host, port))
		}
		for _, port := range []string{"53", "500"} {
			lab.Server.ListenPacket("udp", net.JoinHostPort(host, port))
		}
	}
	scans := map[string][]string{
		"TCP": {"-sT", fmt.Sprintf("-p1-%d", scaled(1000, 65535))},
		"UDP": {"-sU", "-p51-56,500,501"},
	}
	scan := func(kind, host string, more ...string) []string {
		// A port is asked again twice, after a second without an answer at least, since machines
		// stall.
		args := append(slices.Concat(scans[kind], more), "-n", "-Pn", "-T4", "--min-rtt-timeout", "1s",
			"--max-retries", "2", "-oG", "-", host)
		if strings.Contains(host, ":") {
			args = append(args, "-6")
		}
		return portStates(lab.Router.Run("nmap", args...))
	}
	direct := make(map[string][]string)
	for kind := range scans {
		for _, host := range addresses() {
			direct[kind+host] = scan(kind, host)
		}
	}
	r := run(t, lab.Router, "syntap0", everything+"\negress: {dial_timeout: 3s}\n")
	for kind := range scans {
		for _, host := range addresses() {
			var more []string
			if kind == "UDP" { // nmap captures the answers, at the interface of the host's own route unless it is told
				more = []string{"-e", "syntap0"}
				if strings.Contains(host, ":") {
					continue // it sends no IPv6 by a TUN
				}
			}
			if diff := cmp.Diff(direct[kind+host], scan(kind, host, more...)); diff != "" || len(direct[kind+host]) == 0 {
				t.Errorf("%s ports of %s (-direct +routed):\n%s\ndirect: %v", kind, host, diff, direct[kind+host])
			}
		}
	}
	r.stop(t, unix.SIGTERM)
}

var portState = regexp.MustCompile(`\d+/[a-z|]+/(tcp|udp)|Ignored State: \w+ \(\d+\)`)

// portStates picks the states from nmap's "greppable" output.
func portStates(out string) []string { return portState.FindAllString(out, -1) }

// TestTraceroute compares the way to the server with the one without the router: it is no hop
// itself.
func TestTraceroute(t *testing.T) {
	t.Parallel()
	requireTools(t, "traceroute", "tracepath", "mtr")
	lab := tuntest.NewLab(t)
	hosts := addHop(lab, tuntest.NewNamespace(t))
	tools := map[string][]string{
		"tracepath":     {"tracepath", "-n"},
		"traceroute":    {"traceroute", "--back", "-n", "-q1", "-w30", "-m5"},
		"traceroute -I": {"traceroute", "--back", "-I", "-n", "-q1", "-w30", "-m5"},
		"mtr":           {"mtr", "--report", "--no-dns", "-c1", "-m3", "-Z10", "-G3"},
		"mtr -u":        {"mtr", "--report", "--no-dns", "-c1", "-m3", "-Z10", "-G3", "-u"},
	}
	trace := func(tool, host string) []string {
		args := tools[tool]
		out := lab.Client.Run(args[0], append(args[1:], host)...)
		if tool == "tracepath" {
			return wayBack.FindAllString(out, -1)
		}
		return hop.FindAllString(out, -1)
	}
	hops := map[string]int{"tracepath": 1, "traceroute": 3, "traceroute -I": 3, "mtr": 3, "mtr -u": 3}
	direct := make(map[string][]string)
	for tool := range tools {
		for _, host := range hosts {
			direct[tool+host] = trace(tool, host)
		}
	}
	r := run(t, lab.Router, "syntap0", `
tun: {name: syntap0, sources: [host, 192.0.2.0/24, "2001:db8:1::/64"]}
route: {exclude: [192.0.2.0/24, "2001:db8:1::/64"]} # the router's own errors to its local network
tap: {log: []}
`)
	for tool := range tools {
		for _, host := range hosts {
			if diff := cmp.Diff(direct[tool+host], trace(tool, host)); diff != "" || len(direct[tool+host]) != hops[tool] {
				t.Errorf("%s to %s (-direct +routed):\n%s\ndirect: %q", tool, host, diff, direct[tool+host])
			}
		}
	}
	r.stop(t, unix.SIGTERM)
}

// hop matches the address of a hop of traceroute or mtr, with its number, and with the hops on the
// way back if the TTL of its answer says that they are more or less.
var hop = regexp.MustCompile(`(?m)^ *\d+\.?[ |\-]+[0-9a-f.:]+( '-\d+')?`)

// wayBack matches how many hops the way back has for tracepath, by the hop limit of the last
// answer.
var wayBack = regexp.MustCompile(`back \d+`)

// addHop puts a host behind the lab's server, which becomes a router on the way, and returns its
// addresses.
func addHop(lab *tuntest.Lab, far *tuntest.Namespace) []string {
	lab.Server.Sysctl("net.ipv4.ip_forward", "1")
	lab.Server.Sysctl("net.ipv6.conf.all.forwarding", "1")
	for _, ns := range []*tuntest.Namespace{lab.Router, lab.Server} { // as many time-exceeded messages as the tools ask for
		ns.Sysctl("net.ipv4.icmp_ratelimit", "0")
		ns.Sysctl("net.ipv6.icmp.ratelimit", "0")
	}
	far.Sysctl("net.ipv6.conf.default.accept_dad", "0")
	lab.Server.Join("far0", far, "eth0")
	lab.Server.AddAddress("far0", "203.0.113.129/25")
	lab.Server.AddAddress("far0", "2001:db8:4::1/64")
	hosts := []string{"203.0.113.130", "2001:db8:4::2"}
	far.AddAddress("eth0", hosts[0]+"/25")
	far.AddAddress("eth0", hosts[1]+"/64")
	far.AddRoute("0.0.0.0/0", "203.0.113.129")
	far.AddRoute("::/0", "2001:db8:4::1")
	return hosts
}
