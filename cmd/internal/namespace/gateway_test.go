package namespace

import (
	"net/netip"
	"testing"
)

func TestGateway(t *testing.T) {
	t.Parallel()
	tests := []struct {
		own  string
		want string // "" = none
	}{
		{"192.0.2.1/30", "192.0.2.2"},
		{"192.0.2.2/30", "192.0.2.1"},
		{"192.0.2.0/31", "192.0.2.1"},
		{"192.0.2.1/31", "192.0.2.0"},
		{"192.0.2.1/32", ""},
		{"192.0.2.77/24", "192.0.2.78"},
		{"192.0.2.254/24", "192.0.2.253"},
		{"255.255.255.254/24", "255.255.255.253"},
		{"2001:db8::1/126", "2001:db8::2"},
		{"2001:db8::2/126", "2001:db8::3"},
		{"2001:db8::3/126", "2001:db8::2"},
		{"2001:db8::1/127", "2001:db8::"},
		{"2001:db8::1/128", ""},
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/64", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe"},
	}
	for _, tt := range tests {
		got, ok := gateway(netip.MustParsePrefix(tt.own))
		if ok != (tt.want != "") || ok && got.String() != tt.want {
			t.Errorf("gateway(%s) = %s, %t; want %q", tt.own, got, ok, tt.want)
		}
	}
}
