package route_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"

	"syntap/tun"
	"syntap/tun/route"
	"syntap/tun/tuntest"
)

func prefixes(list ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, p := range list {
		all = append(all, netip.MustParsePrefix(p))
	}
	return all
}

// everything returns the config that routes all traffic, without connection tracking.
func everything() route.Config {
	return route.Config{
		Name:      "syntap0",
		Addresses: prefixes("198.18.0.1/30", "fd53:7974::1/126"),
		Include:   prefixes("0.0.0.0/0", "::/0"),
		Mark:      0x5359, Table: 5359, Priority: 5359,
		KeepInbound: true, Closed: true, ByRules: true,
	}
}

// tracking returns the config that routes all traffic, with connection tracking.
func tracking() route.Config {
	c := everything()
	c.ByRules, c.Enforce = false, route.EnforceReject
	return c
}

// inBothModes runs a test with and without connection tracking.
func inBothModes(t *testing.T, test func(t *testing.T, c route.Config)) {
	for name, c := range map[string]route.Config{
		"by rules": everything(), "by connection tracking": tracking(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, c)
		})
	}
}

// entering returns the arguments of "ip route get" for a packet that the nftables table has marked.
func entering(c route.Config) string {
	if c.ByRules {
		return ""
	}
	return fmt.Sprintf(" mark %#x", c.Mark<<16)
}

// open makes a TUN in ns. It ends with the test, or with remove.
func open(t *testing.T, ns *tuntest.Namespace, name string) (remove func()) {
	t.Helper()
	var d *tun.Device
	if err := ns.Do(func() (err error) {
		d, err = tun.Open(name, 1500, 1)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	remove = func() {
		if err := d.Close(); err != nil {
			t.Errorf("close %s: %v", name, err)
		}
		// A child process of another test shares the descriptor until its exec.
		tuntest.Wait(t, "the end of "+name, func() bool {
			_, err := ns.Netlink.LinkByName(name)
			return errors.As(err, new(netlink.LinkNotFoundError))
		})
	}
	t.Cleanup(remove)
	return remove
}

// configure calls Configure in ns, and ends the test if it fails.
func configure(t *testing.T, ns *tuntest.Namespace, c route.Config) *route.Host {
	t.Helper()
	h, err := tryConfigure(ns, c)
	if err != nil {
		t.Fatalf("Configure: %v", err)
	}
	settle(t, ns)
	return h
}

// settle waits until the guards have lost their carrier: a child process of another test shares the
// descriptor until its exec.
func settle(t *testing.T, ns *tuntest.Namespace) {
	t.Helper()
	tuntest.Wait(t, "guards to lose their carrier", func() bool {
		for line := range strings.Lines(ns.State()) {
			has := func(s string) bool { return strings.Contains(line, s) }
			if has("dev guard") && !has("linkdown") && !has("local") ||
				has(": guard") && !has("state DOWN") {
				return false
			}
		}
		return true
	})
}

func tryConfigure(ns *tuntest.Namespace, c route.Config) (h *route.Host, err error) {
	err = ns.Do(func() (err error) {
		h, err = route.Configure(c)
		return err
	})
	return h, err
}

// closeHost undoes Configure.
func closeHost(t *testing.T, h *route.Host) {
	t.Helper()
	if err := h.Close(); err != nil {
		t.Errorf("Host.Close: %v", err)
	}
}

// routeTo returns the kernel's route of a packet: "dev NAME", or the text of the error if there is
// none.
func routeTo(t *testing.T, ns *tuntest.Namespace, query string) string {
	t.Helper()
	args := strings.Fields("-oneline route get " + query)
	out, err := ns.Command(t.Context(), "ip", args...).CombinedOutput()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		_, reason, _ := strings.Cut(strings.TrimSpace(string(out)), ": ")
		return reason
	} else if err != nil {
		t.Fatal(err)
	}
	words := strings.Fields(string(out))
	for i, word := range words[:len(words)-1] {
		if word == "dev" {
			return "dev " + words[i+1]
		}
	}
	return string(out)
}

func TestConfigureInterface(t *testing.T) {
	t.Parallel()
	ns := tuntest.NewNamespace(t)
	open(t, ns, "syntap0")
	h := configure(t, ns, everything())
	defer closeHost(t, h)

	link := ns.Link("syntap0")
	if got := link.Attrs().TxQLen; got != 10000 {
		t.Errorf("queue length = %d, want 10000", got)
	}
	addrs, err := ns.Netlink.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range addrs {
		got = append(got, a.IPNet.String())
	}
	if diff := cmp.Diff([]string{"198.18.0.1/30", "fd53:7974::1/126"}, got); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
	for _, a := range everything().Addresses { // usable at once
		if got := routeTo(t, ns, a.Addr().String()); got != "dev lo" {
			t.Errorf("route to the interface's own %s = %s, want dev lo", a, got)
		}
	}
}

func TestConfigureEnablesIPv6(t *testing.T) {
	t.Parallel()
	ns := tuntest.NewNamespace(t)
	ns.Sysctl("net.ipv6.conf.default.disable_ipv6", "1")
	open(t, ns, "syntap0")
	defer closeHost(t, configure(t, ns, everything()))
	if got := routeTo(t, ns, "2001:db8::1"); got != "dev syntap0" {
		t.Errorf("route to 2001:db8::1 = %s, want dev syntap0", got)
	}
}

func TestConfigureErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*route.Config)
		want   string
	}{
		{
			"no interface", func(c *route.Config) { c.Name = "syntap9" },
			"find interface syntap9: Link not found",
		},
		{
			"no mark", func(c *route.Config) { c.Mark = 0 },
			"route into syntap0: the mark 0 is that of every socket",
		},
		{
			"no address of a family",
			func(c *route.Config) { c.Addresses = prefixes("198.18.0.1/30") },
			"route into syntap0: keeping replies outside needs an address of the TUN in the family " +
				"of ::/0",
		},
		{
			"route twice in the main table", func(c *route.Config) {
				c.Table, c.Include = 0, prefixes("203.0.113.0/24", "203.0.113.9/24")
			},
			"ip route add 203.0.113.0/24 dev syntap0 scope global: file exists",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ns := tuntest.NewNamespace(t)
			before := ns.State()
			remove := open(t, ns, "syntap0")
			c := everything()
			c.StateDir = t.TempDir()
			tt.change(&c)
			h, err := tryConfigure(ns, c)
			if h != nil || err == nil || err.Error() != tt.want {
				t.Errorf("Configure = %v, %v, want nil and %q", h, err, tt.want)
			}
			remove()
			checkRestored(t, ns, c, before)
		})
	}
}

// TestConfigureRefusesLinkdown sets a kernel that ignores routes of interfaces without a carrier,
// as the guard is.
func TestConfigureRefusesLinkdown(t *testing.T) {
	t.Parallel()
	ns := tuntest.NewNamespace(t)
	ns.Sysctl("net.ipv4.conf.all.ignore_routes_with_linkdown", "1")
	open(t, ns, "syntap0")
	c := everything()
	const want = "keep traffic inside after a crash: " +
		"net/ipv4/conf/all/ignore_routes_with_linkdown is not 0"
	if _, err := tryConfigure(ns, c); err == nil || err.Error() != want {
		t.Errorf("Configure = %v, want %q", err, want)
	}
	c.Closed = false
	closeHost(t, configure(t, ns, c))
}

// checkRestored checks that the namespace is as before and that no journal is left.
func checkRestored(t *testing.T, ns *tuntest.Namespace, c route.Config, before string) {
	t.Helper()
	if diff := cmp.Diff(before, ns.State()); diff != "" {
		t.Errorf("left behind (-before +after):\n%s", diff)
	}
	if c.StateDir == "" {
		return
	}
	files, err := os.ReadDir(c.StateDir)
	if err != nil || len(files) != 0 {
		t.Errorf("journals left behind: %v, %v", files, err)
	}
}

// failAfter returns a failpoint that lets n steps pass, adds their commands to passed, and then
// fails.
func failAfter(n int, passed *[]string) func(command string) error {
	return func(command string) error {
		if len(*passed) == n {
			return fmt.Errorf("failpoint %d", n)
		}
		*passed = append(*passed, command)
		return nil
	}
}

// TestConfigureFailsAnywhere fails at each step in turn.
func TestConfigureFailsAnywhere(t *testing.T) {
	t.Parallel()
	inBothModes(t, failAnywhere)
}

func failAnywhere(t *testing.T, c route.Config) {
	ns := tuntest.NewNamespace(t)
	ns.Sysctl("net.ipv4.conf.default.rp_filter", "1")
	c.StateDir = t.TempDir()
	c.Exclude = prefixes("192.0.2.0/24")
	c.IncludeUIDs = []route.UIDRange{{First: 0, Last: 9}}
	c.ExcludeUIDs = []route.UIDRange{{First: 5, Last: 5}}
	before := ns.State()
	var steps []string
	for i := 0; ; i++ {
		remove := open(t, ns, "syntap0")
		steps = steps[:0]
		var h *route.Host
		err := ns.Do(func() (err error) {
			h, err = route.ConfigureFailing(c, false, failAfter(i, &steps))
			return err
		})
		if err == nil {
			closeHost(t, h)
		} else if !strings.HasSuffix(err.Error(), fmt.Sprintf(": failpoint %d", i)) {
			t.Errorf("Configure = %v, want only failpoint %d", err, i)
		}
		remove()
		checkRestored(t, ns, c, before)
		if err == nil {
			break
		}
	}
	if diff := cmp.Diff(wantSteps(c), steps); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}

// wantSteps returns the order that keeps the router's own traffic out at every moment: routes
// before rules, the guard's routes before the TUN's, and the step that sends traffic in last.
func wantSteps(c route.Config) []string {
	steps := []string{
		"ip link set dev syntap0 txqueuelen 10000",
		"ip link set dev syntap0 addrgenmode none",
		"sysctl -qw net/ipv6/conf/syntap0/disable_ipv6=0",
		"sysctl -qw net/ipv4/conf/syntap0/rp_filter=2",
		"ip link set dev syntap0 up",
		"ip address add 198.18.0.1/30 dev syntap0 brd +",
		"ip address add fd53:7974::1/126 dev syntap0 nodad",
		"ip tuntap add dev guard5359 mode tun",
		`ip link set dev guard5359 alias "syntap: takes the traffic while the process is dead"`,
		"ip link set dev guard5359 addrgenmode none",
		"sysctl -qw net/ipv6/conf/guard5359/disable_ipv6=0",
		"sysctl -qw net/ipv6/conf/guard5359/ignore_routes_with_linkdown=0",
		"ip link set dev guard5359 up",
		"ip address add fd53:7974::1/128 dev guard5359 nodad",
		"ip route add throw 192.0.2.0/24 table 5359",
		"ip route add throw 224.0.0.0/4 table 5359",
		"ip route add throw 255.255.255.255/32 table 5359",
		"ip -6 route add throw ff00::/8 table 5359",
		"ip -6 route add throw fe80::/10 table 5359",
		"ip route add default dev guard5359 src 198.18.0.1 metric 2130706432 scope global table 5359",
		"ip -6 route add default dev guard5359 metric 2130706432 table 5359",
		"ip route add default dev syntap0 scope global table 5359",
		"ip -6 route add default dev syntap0 table 5359",
	}
	rules := func(ip string, rules ...string) {
		for _, r := range rules {
			steps = append(steps, ip+" rule add pref "+r)
		}
	}
	if !c.ByRules {
		rules("ip",
			"5366 nop",
			"5359 iif syntap0 goto 5366",
			"5361 to 198.18.0.0/15 fwmark 0x5359 goto 5366",
			"5362 to 198.18.0.0/15 lookup 5359",
			"5360 fwmark 0x53590000 lookup 5359")
		rules("ip -6",
			"5366 nop",
			"5359 iif syntap0 goto 5366",
			"5360 fwmark 0x53590000 lookup 5359")
		return append(steps, "nft table inet syntap0")
	}
	rules("ip",
		"5366 nop",
		"5359 fwmark 0x5359 goto 5366",
		"5362 iif syntap0 goto 5366",
		"5363 from 198.18.0.1/32 lookup 5359",
		"5363 from 0.0.0.0/32 iif lo goto 5365",
		"5364 iif lo goto 5366",
		"5365 uidrange 0-4 lookup 5359",
		"5365 uidrange 6-9 lookup 5359")
	rules("ip -6",
		"5366 nop",
		"5359 fwmark 0x5359 goto 5366",
		"5362 iif syntap0 goto 5366",
		"5363 from fd53:7974::1/128 lookup 5359",
		"5364 from ::/1 iif lo goto 5366",
		"5364 from 8000::/1 iif lo goto 5366",
		"5365 uidrange 0-4 lookup 5359",
		"5365 uidrange 6-9 lookup 5359")
	return steps
}
