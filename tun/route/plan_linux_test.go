package route_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"syntap/tun"
	"syntap/tun/route"
	"syntap/tun/tuntest"
)

// TestPlan runs the plan in a shell and compares the state with that after Configure.
func TestPlan(t *testing.T) {
	t.Parallel()
	inBothModes(t, carryOutPlan)
}

func carryOutPlan(t *testing.T, c route.Config) {
	planned, configured := tuntest.NewNamespace(t), tuntest.NewNamespace(t)
	c.Sources = prefixes("192.0.2.0/24", "2001:db8:1::/64")
	c.Resolvers = func() []netip.Addr {
		return []netip.Addr{
			netip.MustParseAddr("203.0.113.53"), netip.MustParseAddr("2001:db8::53"),
		}
	}
	c.ExcludeUIDs = []route.UIDRange{{First: 1000, Last: 1999}}
	c.Exclude = prefixes("192.0.2.0/24", "2001:db8:1::/64")
	var plan []string
	before := planned.State()
	if err := planned.Do(func() (err error) {
		plan, err = route.Plan(c, 1400, 1)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, planned.State()); diff != "" {
		t.Errorf("Plan changed (-before +after):\n%s", diff)
	}
	planned.Run("sh", "-ec", strings.Join(plan, "\n"))
	settle(t, planned)

	var d *tun.Device
	if err := configured.Do(func() (err error) {
		d, err = tun.Open(c.Name, 1400, 1)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	defer closeHost(t, configure(t, configured, c))
	if diff := cmp.Diff(settled(configured.State()), settled(planned.State())); diff != "" {
		t.Errorf("state (-Configure +the plan):\n%s", diff)
	}
}

// TestPlanPings has root plan for the service, which needs a group that may ping where root's own
// run does without.
func TestPlanPings(t *testing.T) {
	t.Parallel()
	ns := tuntest.NewNamespace(t)
	for groups, want := range map[string]bool{"1 0": true, "0 2147483647": false} {
		ns.Sysctl("net.ipv4.ping_group_range", groups)
		var plan []string
		if err := ns.Do(func() (err error) {
			plan, err = route.Plan(tracking(), 1500, 1)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		text := strings.Join(plan, "\n")
		if strings.Contains(text, "\n# sysctl -qw net/ipv4/ping_group_range=\"GROUP GROUP\"\n") != want {
			t.Errorf("with net.ipv4.ping_group_range %s the plan is\n%s\nsays it: want %v", groups, text, want)
		}
	}
}

// settled removes from a state the signs of a process that reads the TUN and of the owner of a
// table: a plan has neither.
func settled(state string) string {
	var kept strings.Builder
	for line := range strings.Lines(state) {
		line, _, _ = strings.Cut(strings.TrimSuffix(line, "\n"), " # progname")
		multicast := strings.HasPrefix(line, "multicast ff00::/8 dev ")
		if line != "" && !multicast && !strings.HasPrefix(line, "\tflags owner") {
			kept.WriteString(line + "\n")
		}
	}
	carrier := strings.NewReplacer(" linkdown", "", "NO-CARRIER,", "", ",LOWER_UP", "",
		"state DOWN", "state UNKNOWN")
	return carrier.Replace(kept.String())
}
