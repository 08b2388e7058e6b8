package flow

import (
	"net/netip"
	"testing"
)

func TestStrings(t *testing.T) {
	t.Parallel()
	k := Key{netip.MustParseAddrPort("192.0.2.1:40000"), netip.MustParseAddrPort("[2001:db8::1]:80"), 7}
	for _, tt := range []struct {
		got, want string
	}{
		{k.String(), "192.0.2.1:40000 > [2001:db8::1]:80 isn 7"},
		{Dial{Key: k}.String(), k.String() + ": connected"},
		{Dial{Key: k, Upstream: Upstream{Error: "ECONNREFUSED"}, Answer: Refused}.String(), k.String() + ": refused (ECONNREFUSED)"},
		{Flow{Key: k, End: ServerRST}.String(), k.String() + ": server rst"},
		{Wait.String(), "wait"},
		{Admission(3).String(), "3"},
		{Dropped.String(), "dropped"},
		{Answers.String(), "6"},
		{Open.String(), "open"},
		{Open.By() + Open.How(), ""},
		{ClientTimeout.String(), "client timeout"},
		{ServerFIN.String(), "server fin"},
		{RouterRST.String(), "router rst"},
	} {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
}
