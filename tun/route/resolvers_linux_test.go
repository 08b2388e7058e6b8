package route_test

import (
	"net/netip"
	"strings"
	"testing"

	"syntap/tun/route"
	"syntap/tun/tuntest"
)

// TestResolversPass reads the plan for a host with nameservers: queries to them pass the TUN by,
// also those by TLS, from sockets that are bound to a link. Nothing else does.
func TestResolversPass(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	c := tracking()
	c.Resolvers = func() []netip.Addr {
		return []netip.Addr{netip.MustParseAddr("192.0.2.53"), netip.MustParseAddr("2001:db8::53")}
	}
	var plan []string
	if err := lab.Router.Do(func() (err error) {
		plan, err = route.Plan(c, 1500, 1)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	text := strings.Join(plan, "\n")
	text = text[strings.Index(text, "chain past {"):]
	for _, rule := range []string{
		"th dport 53 ip daddr @resolvers4 goto queries", "th dport 53 ip6 daddr @resolvers6 goto queries",
		"th dport 853 ip daddr @resolvers4 goto queries", "th dport 853 ip6 daddr @resolvers6 goto queries",
	} {
		before, _, _ := strings.Cut(text, "drop")
		if !strings.Contains(before, rule) {
			t.Errorf("plan lacks %q before packets are dropped:\n%s", rule, text)
		}
	}
	if n := strings.Count(text, "@resolvers"); n != 4 {
		t.Errorf("plan has %d rules for nameservers, want 4:\n%s", n, text)
	}
}
