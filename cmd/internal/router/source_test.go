//go:build linux

package router

import (
	"net"
	"net/netip"
	"testing"
)

func TestHostSources(t *testing.T) {
	t.Parallel()
	var all []net.Addr
	for _, s := range []string{"127.0.0.1/8", "192.0.2.1/24", "198.51.100.1/24", "198.18.0.1/30", "::1/128", "fe80::1/64", "2001:db8::1/64"} {
		ip, n, err := net.ParseCIDR(s)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, &net.IPNet{IP: ip, Mask: n.Mask})
	}
	h := hostSources{tun: []netip.Prefix{netip.MustParsePrefix("198.18.0.1/30")}}
	choice := h.choices(all)
	for a, want := range map[string]bool{
		"192.0.2.1": true, "198.51.100.1": true, "198.18.0.1": false, "127.0.0.1": false,
		"2001:db8::1": false, // the only one of its family
		"203.0.113.1": false,
	} {
		if got := choice[netip.MustParseAddr(a)]; got != want {
			t.Errorf("%s is one of several: %t, want %t", a, got, want)
		}
	}
}
