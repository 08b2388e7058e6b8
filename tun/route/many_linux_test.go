package route_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"syntap/tun/route"
	"syntap/tun/tuntest"
)

// addRoutes adds so many routes by commands of ip, of which format has the number of each.
func addRoutes(t *testing.T, ns *tuntest.Namespace, n int, format string) {
	t.Helper()
	var batch strings.Builder
	for i := range n {
		fmt.Fprintf(&batch, format+"\n", i>>8, i&255)
	}
	cmd := ns.Command(t.Context(), "ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(batch.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ip -batch: %v\n%s", err, out)
	}
}

// TestManyRoutes surveys a router of the Internet: one route among thousands is by another uplink.
func TestManyRoutes(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	addRoutes(t, lab.Router, 10000, "route add 100.%d.%d.0/24 via 198.51.100.2 dev wan0")
	lab.Router.Run("ip", "route", "add", "223.0.0.0/24", "via", "192.0.2.2", "dev", "lan0")
	if err := lab.Router.Do(func() error {
		plan, err := route.Plan(tracking(), 1500, 1)
		if text := strings.Join(plan, "\n"); !strings.Contains(text, `elements = { "lan0", "wan0" }`) {
			t.Errorf("the plan lacks an uplink:\n%s", text)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}

// TestReachableByManyRoutes has a family with thousands of routes and without a default one.
func TestReachableByManyRoutes(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	lab.Router.Run("ip", "-6", "route", "del", "default")
	addRoutes(t, lab.Router, 2000, "route add 2001:db8:%x:%x::/64 via 2001:db8:2::2 dev wan0")
	if err := lab.Router.Do(func() error {
		all, err := route.Reachable()
		if want := prefixes("0.0.0.0/0", "::/0"); !slices.Equal(all, want) {
			t.Errorf("Reachable = %v, want %v", all, want)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}
