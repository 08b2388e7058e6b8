package e2e_test

import (
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// TestOwnerFirewall has firewalls that let out one user's programs alone, as those of Tor's and
// VPNs' users do: the router's own packets are root's. The router says so with a command, after
// which that user's programs reach the world, and no other's.
func TestOwnerFirewall(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "iptables", "ip6tables", "nft", "setpriv")
	requireSetgroups(t)
	const said = "tells packets by the user of their program"
	for name, firewall := range map[string]string{
		"by policy": `nft 'table inet users { chain out { type filter hook output priority 0; policy drop; oifname { "lo", "lan0" } accept
			meta l4proto ipv6-icmp accept; meta skuid 1000 accept; }; }'`,
		"by a rule":     `nft 'table inet users { chain out { type filter hook output priority 0; meta l4proto ipv6-icmp accept; oifname "wan0" meta skuid != 1000 reject; }; }'`,
		"in a chain":    `nft 'table inet users { chain mine { meta skuid { 1000, 1001 } return; drop; }; chain out { type filter hook output priority 0; meta l4proto ipv6-icmp accept; oifname "wan0" jump mine; }; }'`,
		"by iptables":   `for t in iptables ip6tables; do $t -A OUTPUT -p ipv6-icmp -j ACCEPT; $t -A OUTPUT -o wan0 -m owner ! --uid-owner 1000 -j REJECT; done`,
		"iptables list": `for t in iptables ip6tables; do $t -A OUTPUT -p ipv6-icmp -j ACCEPT; $t -A OUTPUT -o wan0 -m owner --uid-owner 1000 -j ACCEPT; $t -A OUTPUT -o wan0 -j DROP; done`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lab := tuntest.NewLab(t)
			serveHTTP(t, lab, greeting)
			lab.Router.Run("sh", "-ec", firewall)
			reaches := func(uid string) (n int) {
				for _, url := range urls() {
					if command(t, lab.Router, "setpriv", "--reuid="+uid, "--clear-groups", "curl", "-sS", "--connect-timeout", "2", url).status == 0 {
						n++
					}
				}
				return n
			}
			start := func() *router {
				r := run(t, lab.Router, "syntap0", everything)
				r.wait(t, "the router to have started", func() bool { return strings.Contains(r.Stderr(), "msg=routing") })
				return r
			}
			r := start()
			hints := regexp.MustCompile(said+`.*" hint="(.*)"`).FindAllStringSubmatch(r.Stderr(), -1)
			if len(hints) == 0 {
				t.Fatalf("no word of the firewall:\n%s", r.Stderr())
			}
			for _, hint := range hints {
				lab.Router.Run("sh", "-ec", hint[1])
			}
			if got := [2]int{reaches("1000"), reaches("1002")}; got != [2]int{2, 0} {
				t.Errorf("after what the hint says users 1000 and 1002 reach %v of the servers, want 2 and 0", got)
			}
			r.stop(t, unix.SIGTERM)
			r = start()
			if strings.Contains(r.Stderr(), said) {
				t.Errorf("still said when it is cured:\n%s", r.Stderr())
			}
			r.stop(t, unix.SIGTERM)
		})
	}
}

// TestOtherOwnerFirewalls has firewalls that name users and let out root's programs: the router
// says nothing of them.
func TestOtherOwnerFirewalls(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	lab.Router.Run("nft", `table inet users { chain out { type filter hook output priority 0;
		meta skuid 1000 tcp dport 25 reject; meta skuid 2000-3000 drop; meta skuid != 0 tcp dport 22 drop; meta skuid { 5, 6 } drop
		meta skuid 7 accept; ct state invalid drop; }
		chain post { type filter hook postrouting priority 0; policy drop; meta skuid 0-999 accept; meta skuid 1000 accept; oifname != "wan0" accept; meta l4proto ipv6-icmp accept; }
		}`)
	r := run(t, lab.Router, "syntap0", everything)
	r.wait(t, "the router to have started", func() bool { return strings.Contains(r.Stderr(), "msg=routing") })
	if strings.Contains(r.Stderr(), "by the user") {
		t.Errorf("said of a firewall that lets root out:\n%s", r.Stderr())
	}
	r.stop(t, unix.SIGTERM)
}
