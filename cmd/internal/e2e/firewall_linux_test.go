package e2e_test

import (
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestFirewallHints has firewalls that drop the answers of the router: one lets in packets that
// come by the uplink, as a VPN's does by its own interface, and nothing else; one filters by the
// route to their source, without the mark that leads to the TUN; one forwards by the uplink alone.
// The router says so with a command, after which clients get their answers.
func TestFirewallHints(t *testing.T) {
	t.Parallel()
	requireTools(t, "iptables", "ip6tables", "iptables-legacy", "ip6tables-legacy")
	const (
		answers = "accepts answers from syntap0"
		sources = "it drops packets from syntap0"
		clients = "no rules accept those of clients to syntap0 and back"
	)
	for name, firewall := range map[string]struct{ rules, said string }{
		"nftables":        {`nft 'table inet killswitch { chain input { type filter hook input priority 0; policy drop; iifname { "lo", "wan0" } accept; ct state invalid drop; }; }'`, answers},
		"iptables":        {`for t in iptables ip6tables; do $t -P INPUT DROP; $t -A INPUT -i lo -j ACCEPT; $t -A INPUT -i wan0 -j ACCEPT; done`, answers},
		"iptables-legacy": {`for t in iptables-legacy ip6tables-legacy; do $t -w -P INPUT DROP; $t -w -A INPUT -i lo -j ACCEPT; $t -w -A INPUT -i wan0 -j ACCEPT; done`, answers},
		"iptables-legacy of a gateway": {`for t in iptables-legacy ip6tables-legacy; do $t -w -P FORWARD DROP;
			$t -w -A FORWARD -i lan0 -o wan0 -j ACCEPT; $t -w -A FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT; done`, clients},
		"nftables by source": {`nft 'table inet spoof { chain prerouting { type filter hook prerouting priority -300;
			icmpv6 type { nd-router-advert, nd-neighbor-solicit } accept
			iifname "wan0" fib saddr . iif oif missing drop; fib saddr . mark . iif oif missing drop; fib saddr . iif oif missing drop; }; }'`, sources},
		"iptables by source": {`for t in iptables ip6tables; do $t -t raw -A PREROUTING -m rpfilter --validmark --invert -j DROP; $t -t raw -A PREROUTING -m rpfilter --invert -j DROP; done`, sources},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHostLab(t)
			caller := call{ns: h.Router}
			if firewall.said == clients {
				caller.ns = h.Client
			}
			h.Router.Run("sh", "-ec", firewall.rules)
			h.callAll(t, "without the router", caller, "world")
			start := func() *router {
				r := run(t, h.Router, "syntap0", sourcesOfLAN)
				// The routes are there before the notices, and this message is behind them.
				r.wait(t, "the router to have started", func() bool { return strings.Contains(r.Stderr(), "msg=routing") })
				return r
			}
			r := start()
			hints := regexp.MustCompile(firewall.said+`" hint="(.*)"`).FindAllStringSubmatch(r.Stderr(), -1)
			if len(hints) == 0 {
				t.Fatalf("no word of the firewall:\n%s", r.Stderr())
			}
			for _, hint := range hints {
				h.Router.Run("sh", "-ec", hint[1])
			}
			h.callAll(t, "after what the hint says", caller, "world")
			r.stop(t, unix.SIGTERM)
			r = start()
			if strings.Contains(r.Stderr(), firewall.said) {
				t.Errorf("still said when it is cured:\n%s", r.Stderr())
			}
			r.stop(t, unix.SIGTERM)
		})
	}
}
