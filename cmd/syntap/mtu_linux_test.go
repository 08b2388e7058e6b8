package main

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
)

// TestLookUpAddresses looks up addresses: those of a link keep its zone, and need one.
func TestLookUpAddresses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		host, network string
		want          []netip.Addr // nil = an error
	}{
		{"192.0.2.1", "ip", []netip.Addr{netip.MustParseAddr("192.0.2.1")}},
		{"::ffff:192.0.2.1", "ip4", []netip.Addr{netip.MustParseAddr("192.0.2.1")}},
		{"fe80::1%lo", "ip6", []netip.Addr{netip.MustParseAddr("fe80::1%lo")}},
		{"fe80::1", "ip", nil},
		{"192.0.2.1", "ip6", nil},
		{"2001:db8::1", "ip4", nil},
	} {
		got, err := lookUp(t.Context(), tt.host, tt.network)
		if !slices.Equal(got, tt.want) || (err != nil) != (tt.want == nil) {
			t.Errorf("%s as %s: %v, %v, want %v", tt.host, tt.network, got, err, tt.want)
		}
	}
}

// TestSplitTarget splits addresses of links from their ports, too.
func TestSplitTarget(t *testing.T) {
	t.Parallel()
	for target, want := range map[string]string{
		"example.com":          "example.com 443",
		"192.0.2.1:80":         "192.0.2.1 80",
		"2001:db8::1":          "2001:db8::1 443",
		"[2001:db8::1]":        "2001:db8::1 443",
		"[2001:db8::1]:80":     "2001:db8::1 80",
		"fe80::1%eth0":         "fe80::1%eth0 443",
		"[fe80::1%eth0]:80":    "fe80::1%eth0 80",
		"192.0.2.1:0":          `"0" is no port`,
		"192.0.2.1:65536":      `"65536" is no port`,
		"[2001:db8::1":         `"[2001:db8::1" is no host and port`,
		":80":                  `"" is no host`,
		"http://192.0.2.1/":    `"http://192.0.2.1/" is no host and port`,
		"a host:80":            `"a host" is no host`,
		"[fe80::1%eth0]:http":  `"http" is no port`,
		"[fe80::1%eth0]:80:80": `"[fe80::1%eth0]:80:80" is no host and port`,
	} {
		host, port, err := splitTarget(target)
		got := fmt.Sprint(host, " ", port)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %s, want %s", target, got, want)
		}
	}
}

// TestFirstOpen finds the address on which a host answers.
func TestFirstOpen(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	open := l.Addr().(*net.TCPAddr).AddrPort()
	closed := netip.MustParseAddr("127.0.0.2")
	for _, tt := range []struct {
		addresses []netip.Addr
		want      netip.Addr
	}{
		{[]netip.Addr{closed, open.Addr()}, open.Addr()},
		{[]netip.Addr{open.Addr(), closed}, open.Addr()},
		{[]netip.Addr{closed}, closed},
		{[]netip.Addr{closed, netip.MustParseAddr("127.0.0.3")}, closed},
	} {
		if got := firstOpen(t.Context(), tt.addresses, open.Port()); got != netip.AddrPortFrom(tt.want, open.Port()) {
			t.Errorf("of %v it takes %v, want %v", tt.addresses, got, tt.want)
		}
	}
}
