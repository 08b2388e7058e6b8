//go:build linux

package dial

import (
	"net/netip"
	"slices"
	"testing"
)

func TestPolicy(t *testing.T) {
	t.Parallel()
	deny := Policy{Deny: slices.Concat(Loopback, LinkLocal, Multicast, prefixes("192.0.2.1/32", "2001:db8:1::1/128"))}
	allow := deny
	allow.Allow = prefixes("169.254.169.254/32", "127.0.0.0/31", "2001:db8:1::1/128")
	for _, tt := range []struct {
		addr        string
		deny, allow bool // whether each policy denies it
	}{
		{"203.0.113.1", false, false},
		{"2001:db8:2::1", false, false},
		{"127.0.0.1", true, false},
		{"127.1.2.3", true, true},
		{"0.0.0.0", true, true},
		{"0.0.0.1", true, true},
		{"::", true, true},
		{"::1", true, true},
		{"169.254.169.254", true, false},
		{"169.254.0.1", true, true},
		{"fe80::1", true, true},
		{"224.0.0.251", true, true},
		{"255.255.255.255", true, true},
		{"ff02::fb", true, true},
		{"192.0.2.1", true, true},
		{"192.0.2.2", false, false},
		{"2001:db8:1::1", true, false},
		// The same in the forms of IPv6 that carry an IPv4 address.
		{"::ffff:127.1.2.3", true, true},
		{"::ffff:203.0.113.1", false, false},
		{"::127.1.2.3", true, true},
		{"64:ff9b::7f01:203", true, true},
		{"64:ff9b::a9fe:a9fe", true, false},
		{"64:ff9b::c000:201", true, true},
		{"64:ff9b::cb00:7101", false, false},
		{"2002:7f01:203::1", true, true},
		{"2002:c000:201::1", true, true},
		{"2002:cb00:7101::1", false, false},
	} {
		for name, c := range map[string]struct {
			policy Policy
			want   bool
		}{"deny": {deny, tt.deny}, "allow": {allow, tt.allow}} {
			dst := netip.AddrPortFrom(netip.MustParseAddr(tt.addr), 80)
			_, decision := New(Options{Policy: c.policy}).Target(netip.Addr{}, dst)
			if decision.Deny != c.want {
				t.Errorf("%s: %s denied: %t, want %t", name, tt.addr, decision.Deny, c.want)
			}
		}
	}
}
