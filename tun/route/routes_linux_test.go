package route_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"syntap/tun/route"
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
		{"a server's reply", "203.0.113.2 from 198.51.100.1", "dev wan0"},
		{"a server's reply, IPv6", "2001:db8:3::2 from 2001:db8:2::1", "dev wan0"},
		{"a socket with the TUN's address", "203.0.113.2 from 198.18.0.1", "dev syntap0"},
		{"a socket with the TUN's address, IPv6", "2001:db8:3::2 from fd53:7974::1", "dev syntap0"},
		{"limited broadcast", "255.255.255.255", "dev wan0"},
		{"multicast, IPv6", "ff02::fb oif wan0", "dev wan0"},
		{"link-local, IPv6", "fe80::1 oif wan0", "dev wan0"},
		{"bound to the uplink", "203.0.113.2 oif wan0", "dev wan0"},
		{"forwarded from the client", "203.0.113.2 from 192.0.2.2 iif lan0", "dev syntap0"},
		{"forwarded, IPv6", "2001:db8:3::2 from 2001:db8:1::2 iif lan0", "dev syntap0"},
		{"from the TUN to the client", "192.0.2.2 from 203.0.113.2 iif syntap0", "dev lan0"},
		{
			"from the TUN to the client, IPv6",
			"2001:db8:1::2 from 2001:db8:3::2 iif syntap0", "dev lan0",
		},
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
		"203.0.113.2":               "dev syntap0",
		"203.0.113.200":             "dev wan0",
		"203.0.113.2 mark 0x5359":   "dev wan0",
		"239.192.0.1":               "dev syntap0",
		"224.0.0.251":               "dev wan0",
		"2001:db8:3::2":             "dev wan0",
		"2001:db8:3::2 mark 0x5359": "dev wan0",
		"198.18.0.2":                "dev syntap0",
		"198.18.0.2 mark 0x5359":    "dev syntap0", // the TUN's own network
		"fd53:7974::2 mark 0x5359":  "dev syntap0",

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

// TestGatewayIsFound adds routes by a gateway without the name of an interface, as operators do.
func TestGatewayIsFound(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	remove := open(t, lab.Router, "syntap0")
	h := configure(t, lab.Router, everything())
	check := func(when, prefix4, prefix6 string) {
		t.Helper()
		lab.Router.AddRoute(prefix4, "198.51.100.2")
		lab.Router.AddRoute(prefix6, "2001:db8:2::2")
		for _, command := range []string{
			"ip route show " + prefix4, "ip -6 route show " + prefix6,
		} {
			words := strings.Fields(command)
			if got := lab.Router.Run(words[0], words[1:]...); !strings.Contains(got, " dev wan0 ") {
				t.Errorf("%s, %s = %q, want dev wan0", when, command, got)
			}
		}
	}
	check("while the TUN is there", "203.0.113.0/25", "2001:db8:5::/64")
	h.Abandon()
	remove()
	check("while it is not", "203.0.113.0/26", "2001:db8:6::/64")
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
	inBothModes(t, undo)
}

func undo(t *testing.T, everything route.Config) {
	ownNamespace, some := everything, everything
	ownNamespace.Table = 0
	some.Include = prefixes("203.0.113.0/24", "192.0.2.0/24", "2001:db8::/32")
	for name, c := range map[string]route.Config{
		"everything": everything, "some": some, "own namespace": ownNamespace,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ns := tuntest.NewNamespace(t)
			before := ns.State()
			remove := open(t, ns, "syntap0")
			h := configure(t, ns, c)
			query := tuntest.ServerAddr4
			if c.Table != 0 {
				query += entering(c)
			}
			if got := routeTo(t, ns, query); got != "dev syntap0" {
				t.Errorf("route to %s = %s, want dev syntap0", tuntest.ServerAddr4, got)
			}
			closeHost(t, h)
			if got := routeTo(t, ns, query); got != "Network is unreachable" {
				t.Errorf("after Close: route to %s = %s, want Network is unreachable",
					tuntest.ServerAddr4, got)
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
	inBothModes(t, func(t *testing.T, c route.Config) {
		ns := tuntest.NewNamespace(t)
		before := ns.State()
		remove := open(t, ns, "syntap0")
		h := configure(t, ns, c)
		remove()
		ns.Run("ip", "rule", "del", "pref", "5366") // and another program was at work
		closeHost(t, h)
		if diff := cmp.Diff(before, ns.State()); diff != "" {
			t.Errorf("left behind (-before +after):\n%s", diff)
		}
	})
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
	after := lab.Router.Run("ip", "rule") + lab.Router.Run("ip", "-6", "rule")
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("rules (-before +after):\n%s", diff)
	}
	for _, host := range []string{tuntest.ServerAddr4, tuntest.ServerAddr6} {
		if got := routeTo(t, lab.Router, host); got != "dev wan0" {
			t.Errorf("route to %s = %s, want dev wan0", host, got)
		}
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
		got, err = route.StrictReversePath()
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"wan0"}, got); diff != "" {
		t.Errorf("strict interfaces (-want +got):\n%s", diff)
	}
}
