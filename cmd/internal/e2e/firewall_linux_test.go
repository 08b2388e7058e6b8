package e2e_test

import (
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestFirewallByInterface has a firewall let in packets that come by the uplink, as a VPN's does by
// its own interface, and nothing else. The router says so with a command, after which the host's
// programs get their answers.
func TestFirewallByInterface(t *testing.T) {
	t.Parallel()
	requireTools(t, "iptables", "ip6tables")
	const answers = "accepts answers from syntap0"
	for name, firewall := range map[string]string{
		"nftables": `nft 'table inet killswitch { chain input { type filter hook input priority 0; policy drop; iifname { "lo", "wan0" } accept; ct state invalid drop; }; }'`,
		"iptables": `for t in iptables ip6tables; do $t -P INPUT DROP; $t -A INPUT -i lo -j ACCEPT; $t -A INPUT -i wan0 -j ACCEPT; done`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHostLab(t)
			h.Router.Run("sh", "-ec", firewall)
			h.callAll(t, "without the router", call{ns: h.Router}, "world")
			start := func() *router {
				r := run(t, h.Router, "syntap0", sourcesOfLAN)
				// The routes are there before the notices, and this message is behind them.
				r.wait(t, "the router to have started", func() bool { return strings.Contains(r.Stderr(), "msg=routing") })
				return r
			}
			r := start()
			hints := regexp.MustCompile(answers+`" hint="(.*)"`).FindAllStringSubmatch(r.Stderr(), -1)
			if len(hints) == 0 {
				t.Fatalf("no word of the firewall:\n%s", r.Stderr())
			}
			for _, hint := range hints {
				h.Router.Run("sh", "-ec", hint[1])
			}
			h.callAll(t, "after what the hint says", call{ns: h.Router}, "world")
			r.stop(t, unix.SIGTERM)
			r = start()
			if strings.Contains(r.Stderr(), answers) {
				t.Errorf("still said when it is cured:\n%s", r.Stderr())
			}
			r.stop(t, unix.SIGTERM)
		})
	}
}
