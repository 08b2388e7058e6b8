package tun_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"syntap/tun"
	"syntap/tun/tuntest"
)

func TestRoutes(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	open(t, lab.Router, "syntap0")
	defer closeHost(t, configure(t, lab.Router, everything()))
	tests := []struct {
		name  string
		query string
		want  string
	}{
		{"the world", "203.0.113.2", "dev syntap0"},
		{"the world, IPv6", "2001:db8:3::2", "dev syntap0"},
		{"our sockets", "203.0.113.2 mark 0x5359", "dev wan0"},
		{"our sockets, IPv6", "2001:db8:3::2 mark 0x5359", "dev wan0"},
		{"other marks", "203.0.113.2 mark 0x1", "dev syntap0"},
		{"connected network", "198.51.100.2", "dev syntap0"},
		{"connected network, IPv6", "2001:db8:2::2", "dev syntap0"},
		{"the host itself", "198.51.100.1", "dev lo"},
		{"the host itself, IPv6", "2001:db8:2::1", "dev lo"},
		{"the TUN's own address", "198.18.0.1", "dev lo"},
		{"multicast", "224.0.0.251", "dev wan0"},
		{"limited broadcast", "255.255.255.255", "dev wan0"},
		{"multicast, IPv6", "ff02::fb oif wan0", "dev wan0"},
		{"link-local, IPv6", "fe80::1 oif wan0", "dev wan0"},
		{"bound to the uplink", "203.0.113.2 oif wan0", "dev wan0"},
		{"forwarded from the client", "203.0.113.2 from 192.0.2.2 iif lan0", "dev syntap0"},
		{"forwarded from the client, IPv6", "2001:db8:3::2 from 2001:db8:1::2 iif lan0", "dev syntap0"},
		{"out of the TUN to the client", "192.0.2.2 from 203.0.113.2 iif syntap0", "dev lan0"},
		{"out of the TUN to the client, IPv6", "2001:db8:1::2 from 2001:db8:3::2 iif syntap0", "dev lan0"},
	}
	for _, tt := range tests {
		if got := routeTo(t, lab.Router, tt.query); got != tt.want {
			t.Errorf("%s: route to %s = %s, want %s", tt.name, tt.query, got, tt.want)
		}
	}
}

func TestRoutesIncludeSome(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	open(t, lab.Router, "syntap0")
	c := everything()
	c.Include = prefixes("203.0.113.0/25", "239.192.0.0/14")
	defer closeHost(t, configure(t, lab.Router, c))
	for query, want := range map[string]string{
		"203.0.113.2":                               "dev syntap0",
		"203.0.113.200":                             "dev wan0",
		"203.0.113.2 mark 0x5359":                   "dev wan0",
		"239.192.0.1":                               "dev syntap0",
		"224.0.0.251":                               "dev wan0",
		"2001:db8:3::2":                             "dev wan0",
		"2001:db8:3::2 mark 0x5359":                 "dev wan0",
		"198.18.0.2":                                "dev syntap0",
		"198.18.0.2 mark 0x5359":                    "dev syntap0", // the interface's own network is a route of the host
		"fd53:7974::2 mark 0x5359":                  "dev syntap0",
		"203.0.113.200 iif syntap0 from 198.18.0.2": "dev wan0",
	} {
		if got := routeTo(t, lab.Router, query); got != want {
			t.Errorf("route to %s = %s, want %s", query, got, want)
		}
	}
	if rules := lab.Router.Run("ip", "-6", "rule"); strings.Contains(rules, "5359") {
		t.Errorf("IPv6 has rules without an included prefix:\n%s", rules)
	}
}

func TestUplinkDown(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	open(t, lab.Router, "syntap0")
	defer closeHost(t, configure(t, lab.Router, everything()))
	if err := lab.Router.Netlink.LinkSetDown(lab.Router.Link("wan0")); err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{tuntest.ServerAddr4, tuntest.ServerAddr6} {
		if got := routeTo(t, lab.Router, host+" mark 0x5359"); got != "Network is unreachable" {
			t.Errorf("our sockets reach %s by %s, want Network is unreachable", host, got)
		}
		if got := routeTo(t, lab.Router, host); got != "dev syntap0" {
			t.Errorf("route to %s = %s, want dev syntap0", host, got)
		}
	}
}

func TestUndo(t *testing.T) {
	t.Parallel()
	ownNamespace := everything()
	ownNamespace.Table = 0
	some := everything()
	some.Include = prefixes("203.0.113.0/24", "192.0.2.0/24", "2001:db8::/32")
	for name, c := range map[string]tun.HostConfig{"everything": everything(), "some": some, "own namespace": ownNamespace} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ns := tuntest.NewNamespace(t)
			before := ns.State()
			remove := open(t, ns, "syntap0")
			h := configure(t, ns, c)
			if got := routeTo(t, ns, tuntest.ServerAddr4); got != "dev syntap0" {
				t.Errorf("route to %s = %s, want dev syntap0", tuntest.ServerAddr4, got)
			}
			closeHost(t, h)
			if got := routeTo(t, ns, tuntest.ServerAddr4); got != "Network is unreachable" {
				t.Errorf("after Close: route to %s = %s, want Network is unreachable", tuntest.ServerAddr4, got)
			}
			closeHost(t, h)
			remove()
			if diff := cmp.Diff(before, ns.State()); diff != "" {
				t.Errorf("left behind (-before +after):\n%s", diff)
			}
		})
	}
}

func TestUndoAfterInterfaceIsGone(t *testing.T) {
	t.Parallel()
	ns := tuntest.NewNamespace(t)
	before := ns.State()
	remove := open(t, ns, "syntap0")
	h := configure(t, ns, everything())
	remove()
	ns.Run("ip", "rule", "del", "pref", "5361") // and a hand was at work
	closeHost(t, h)
	if diff := cmp.Diff(before, ns.State()); diff != "" {
		t.Errorf("left behind (-before +after):\n%s", diff)
	}
}

func TestOwnNamespaceHasNoRules(t *testing.T) {
	t.Parallel()
	ns := tuntest.NewNamespace(t)
	before := ns.Run("ip", "rule") + ns.Run("ip", "-6", "rule")
	open(t, ns, "syntap0")
	c := everything()
	c.Table, c.Mark = 0, 0
	defer closeHost(t, configure(t, ns, c))
	if diff := cmp.Diff(before, ns.Run("ip", "rule")+ns.Run("ip", "-6", "rule")); diff != "" {
		t.Errorf("rules (-before +after):\n%s", diff)
	}
}

func TestEmptyIncludeRoutesNothing(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	before := lab.Router.Run("ip", "rule") + lab.Router.Run("ip", "-6", "rule")
	open(t, lab.Router, "syntap0")
	c := everything()
	c.Include = nil
	defer closeHost(t, configure(t, lab.Router, c))
	if diff := cmp.Diff(before, lab.Router.Run("ip", "rule")+lab.Router.Run("ip", "-6", "rule")); diff != "" {
		t.Errorf("rules (-before +after):\n%s", diff)
	}
	for _, host := range []string{tuntest.ServerAddr4, tuntest.ServerAddr6} {
		if got := routeTo(t, lab.Router, host); got != "dev wan0" {
			t.Errorf("route to %s = %s, want dev wan0", host, got)
		}
	}
}

// die ends a run as SIGKILL does: the interface goes, nothing is undone.
func die(t *testing.T, ns *tuntest.Namespace, c tun.HostConfig) {
	t.Helper()
	remove := open(t, ns, c.Name)
	configure(t, ns, c)
	remove()
	if !strings.Contains(ns.State(), "5359") {
		t.Fatal("a dead run has left nothing to clean up")
	}
}

func TestLeftovers(t *testing.T) {
	t.Parallel()
	ns := tuntest.NewNamespace(t)
	before := ns.State()

	die(t, ns, everything())
	for range 2 {
		if err := ns.Do(func() error { return tun.Cleanup(everything()) }); err != nil {
			t.Errorf("Cleanup: %v", err)
		}
		if diff := cmp.Diff(before, ns.State()); diff != "" {
			t.Errorf("Cleanup left (-before +after):\n%s", diff)
		}
	}

	die(t, ns, everything())
	remove := open(t, ns, "syntap0")
	only4 := everything()
	only4.Include = prefixes("203.0.113.0/24")
	h := configure(t, ns, only4)
	if rules := ns.Run("ip", "-6", "rule"); strings.Contains(rules, "5359") {
		t.Errorf("leftover rules of a family that is no longer included:\n%s", rules)
	}
	closeHost(t, h)
	remove()
	if diff := cmp.Diff(before, ns.State()); diff != "" {
		t.Errorf("left behind (-before +after):\n%s", diff)
	}
}

func TestSecondInstance(t *testing.T) {
	t.Parallel()
	ns := tuntest.NewNamespace(t)
	open(t, ns, "syntap0")
	defer closeHost(t, configure(t, ns, everything()))
	open(t, ns, "syntap1")
	before := ns.State()

	sameTable, samePriority, overlapping, apart := everything(), everything(), everything(), everything()
	for _, c := range []*tun.HostConfig{&sameTable, &samePriority, &overlapping, &apart} {
		c.Name, c.Addresses = "syntap1", prefixes("198.18.0.5/30")
	}
	sameTable.Priority = 6000
	samePriority.Table = 6000
	overlapping.Table, overlapping.Priority = 6000, 5355
	apart.Table, apart.Priority, apart.Mark = 6000, 6000, 0x6000

	tests := []struct {
		name string
		c    tun.HostConfig
		want string
	}{
		{"table", sameTable, ": table 5359 routes 0.0.0.0/0 to interface syntap0"},
		{"priority", samePriority, ": IPv4 rule 5362: from all iif syntap0 lookup 254"},
		{"overlapping priorities", overlapping, ": IPv4 rule 5359: from all fwmark 0x5359 lookup 254"},
	}
	for _, tt := range tests {
		_, err := tryConfigure(ns, tt.c)
		if !errors.Is(err, tun.ErrRoutingInUse) || !strings.HasSuffix(err.Error(), tt.want) {
			t.Errorf("same %s: Configure = %v, want ErrRoutingInUse with %q", tt.name, err, tt.want)
		}
		if diff := cmp.Diff(before, ns.State()); diff != "" {
			t.Errorf("same %s: changed (-before +after):\n%s", tt.name, diff)
		}
	}
	if err := ns.Do(func() error { return tun.Cleanup(everything()) }); !errors.Is(err, tun.ErrRoutingInUse) {
		t.Errorf("Cleanup beside a running instance = %v, want ErrRoutingInUse", err)
	}

	closeHost(t, configure(t, ns, apart))
	if got := routeTo(t, ns, tuntest.ServerAddr4); got != "dev syntap0" {
		t.Errorf("beside and after another instance: route to %s = %s, want dev syntap0", tuntest.ServerAddr4, got)
	}
}

func TestStrictReversePath(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	lab.Router.Sysctl("net.ipv4.conf.all.rp_filter", "0")
	lab.Router.Sysctl("net.ipv4.conf.lan0.rp_filter", "2")
	lab.Router.Sysctl("net.ipv4.conf.wan0.rp_filter", "1")
	var got []string
	if err := lab.Router.Do(func() (err error) {
		got, err = tun.StrictReversePath()
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"wan0"}, got); diff != "" {
		t.Errorf("strict interfaces (-want +got):\n%s", diff)
	}
}
