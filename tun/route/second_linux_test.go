package route_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"syntap/tun/route"
	"syntap/tun/tuntest"
)

func TestSecondInstance(t *testing.T) {
	t.Parallel()
	inBothModes(t, secondInstance)
}

func secondInstance(t *testing.T, running route.Config) {
	ns := tuntest.NewNamespace(t)
	open(t, ns, "syntap0")
	running.StateDir = t.TempDir()
	defer closeHost(t, configure(t, ns, running))
	tuntest.Wait(t, "the interface's multicast route", func() bool {
		return strings.Contains(ns.State(), "multicast ff00::/8 dev syntap0")
	})
	alone := ns.State()
	remove := open(t, ns, "syntap1")
	before := ns.State()

	second := func(change func(c *route.Config)) route.Config {
		c := running
		c.Name, c.Addresses = "syntap1", prefixes("198.18.0.5/30", "fd53:7974::5/126")
		change(&c)
		return c
	}
	sameTable := second(func(c *route.Config) { c.Priority = 6000 })
	samePriority := second(func(c *route.Config) { c.Table = 6000 })
	overlapping := second(func(c *route.Config) { c.Table, c.Priority = 6000, 5353 })
	apart := second(func(c *route.Config) { c.Table, c.Priority, c.Mark = 6000, 6000, 0x6000 })

	rule, first := "5362 iif syntap0 goto 5366", "5359 fwmark 0x5359 goto 5366"
	if !running.ByRules {
		rule, first = "5359 iif syntap0 goto 5366", "5359 iif syntap0 goto 5366"
	}
	tests := []struct {
		name string
		c    route.Config
		is   error
		want string
	}{
		{"name", running, route.ErrRunning, ": another instance is running"},
		{"table", sameTable, route.ErrInUse, ": table 5359 routes 0.0.0.0/0 to interface syntap0"},
		{"priority", samePriority, route.ErrInUse, ": IPv4 rule " + rule},
		{"overlapping priorities", overlapping, route.ErrInUse, ": IPv4 rule " + first},
	}
	for _, tt := range tests {
		_, err := tryConfigure(ns, tt.c)
		if !errors.Is(err, tt.is) || !strings.HasSuffix(err.Error(), tt.want) {
			t.Errorf("same %s: Configure = %v, want %v with %q", tt.name, err, tt.is, tt.want)
		}
		if diff := cmp.Diff(before, ns.State()); diff != "" {
			t.Errorf("same %s: changed (-before +after):\n%s", tt.name, diff)
		}
	}
	alive := []route.Cleaned{{Name: "syntap0", Running: true}}
	if diff := cmp.Diff(alive, cleanUp(t, ns, running, false)); diff != "" {
		t.Errorf("Cleanup beside a running instance (-want +got):\n%s", diff)
	}
	besideAnother(t, ns, running, apart)
	remove()
	if diff := cmp.Diff(alone, ns.State()); diff != "" {
		t.Errorf("another instance has changed (-before +after):\n%s", diff)
	}
}

// besideAnother runs one router with the same names in another namespace and one with other names
// in the same.
func besideAnother(t *testing.T, ns *tuntest.Namespace, running, apart route.Config) {
	t.Helper()
	elsewhere := tuntest.NewNamespace(t)
	open(t, elsewhere, "syntap0")
	closeHost(t, configure(t, elsewhere, running))

	closeHost(t, configure(t, ns, apart))
	if got := routeTo(t, ns, tuntest.ServerAddr4+entering(running)); got != "dev syntap0" {
		t.Errorf("beside and after another instance: route to %s = %s, want dev syntap0",
			tuntest.ServerAddr4, got)
	}
}
