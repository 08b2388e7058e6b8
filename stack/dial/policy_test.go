//go:build linux

package dial

import (
	"net/netip"
	"slices"
	"testing"

	"syntap/stack/egress"
	"syntap/tun/flow"
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
			_, decision := New(Options{Policy: c.policy}).Target(Flow{Server: dst}, nil)
			if decision.Deny != c.want {
				t.Errorf("%s: %s denied: %t, want %t", name, tt.addr, decision.Deny, c.want)
			}
		}
	}
}

// TestRules looks at the order of rules, the addresses that are never dialled, exceptions to them,
// and the host's nameservers.
func TestRules(t *testing.T) {
	t.Parallel()
	local := netip.MustParseAddr("192.0.2.1")
	policy := Policy{
		Deny: slices.Concat(Loopback, LinkLocal), Allow: prefixes("169.254.1.1/32"),
		Local:     func(a netip.Addr) bool { return a == local },
		Resolvers: func() []netip.Addr { return []netip.Addr{netip.MustParseAddr("198.51.100.53")} },
	}
	ruling := func(deny, literal, byDefault bool) *egress.Ruling {
		return &egress.Ruling{
			Decision: &flow.Decision{Deny: deny, Rule: "rule"}, Literal: literal, Default: byDefault,
		}
	}
	allow, deny, literal := ruling(false, false, false), ruling(true, false, false), ruling(false, true, false)
	defaultAllow, defaultDeny := ruling(false, false, true), ruling(true, false, true)
	for _, tt := range []struct {
		ruling *egress.Ruling
		dst    string
		want   string // the rule
		deny   bool
	}{
		{nil, "203.0.113.1:80", "default", false},
		{nil, "127.0.0.1:80", "policy", true},
		{allow, "203.0.113.1:80", "rule", false},
		{allow, "127.0.0.1:80", "policy", true}, // rebinding
		{allow, "169.254.1.1:80", "rule", false},
		{literal, "127.0.0.1:80", "rule", false},
		{deny, "203.0.113.1:80", "rule", true},
		{deny, "169.254.1.1:80", "rule", true},
		{deny, "198.51.100.53:53", "default", false},
		{deny, "198.51.100.53:853", "rule", true},
		{defaultAllow, "203.0.113.1:80", "default", false},
		{defaultAllow, "169.254.1.1:80", "exception", false},
		{defaultDeny, "169.254.1.1:80", "rule", true},
		{defaultDeny, "127.0.0.1:80", "policy", true},
		{defaultDeny, "198.51.100.53:53", "default", false},
	} {
		f := Flow{Client: netip.AddrPortFrom(local, 1), Server: netip.MustParseAddrPort(tt.dst)}
		_, got := New(Options{Policy: policy}).Target(f, tt.ruling)
		if got.Rule != tt.want || got.Deny != tt.deny {
			t.Errorf("%+v, %s: %+v", tt.ruling, tt.dst, got)
		}
		if onlyDNS := tt.ruling != nil && tt.ruling.Deny && !got.Deny; got.OnlyDNS != onlyDNS {
			t.Errorf("%+v, %s: only DNS %t", tt.ruling, tt.dst, got.OnlyDNS)
		}
	}
	f := Flow{
		Client: netip.MustParseAddrPort("192.0.2.2:1"),
		Server: netip.MustParseAddrPort("198.51.100.53:53"),
	}
	if _, got := New(Options{Policy: policy}).Target(f, defaultDeny); !got.Deny {
		t.Error("a machine behind this host may use its nameservers, which no rule allows")
	}
}
