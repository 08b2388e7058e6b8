//go:build linux

package router

import (
	"net/netip"
	"testing"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/hostfile"
	"syntap/stack/dial"
)

// Each decision names the place in the config that it comes from, and a denial says why.
func TestDestinations(t *testing.T) {
	t.Parallel()
	c := config.Default()
	c.TUN.Addresses = []netip.Prefix{netip.MustParsePrefix("198.18.0.1/30")}
	c.Egress.Deny.Prefixes = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}
	c.Egress.Allow.Prefixes = []netip.Prefix{netip.MustParsePrefix("203.0.113.9/32")}
	d := dial.New(dial.Options{Policy: destinations(c, nil, nil, hostfile.Nameservers)})
	for dst, want := range map[string]string{
		"192.0.2.1":       "default",
		"203.0.113.9":     "egress.allow",
		"198.18.0.2":      "tun.addresses: tun.addresses has no machine in 198.18.0.0/30",
		"203.0.113.1":     "egress.deny: egress.deny forbids 203.0.113.0/24",
		"::ffff:7f00:1":   "egress.deny: egress.deny forbids loopback addresses",
		"224.0.0.251":     "egress.deny: egress.deny forbids multicast addresses",
		"169.254.169.254": "egress.deny: egress.deny forbids link-local addresses to clients that are not programs of this host",
	} {
		_, decision := d.Target(dial.Flow{
			Client: netip.MustParseAddrPort("198.51.100.7:1"),
			Server: netip.AddrPortFrom(netip.MustParseAddr(dst), 80),
		}, nil)
		got := decision.Rule
		if decision.Deny {
			got += ": " + decision.Reason
		}
		if got != want {
			t.Errorf("%s: %s, want %s", dst, got, want)
		}
	}
}
