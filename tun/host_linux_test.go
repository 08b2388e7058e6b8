package tun_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"

	"syntap/tun"
	"syntap/tun/tuntest"
)

func prefixes(list ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, p := range list {
		all = append(all, netip.MustParsePrefix(p))
	}
	return all
}

// everything is the configuration that routes all traffic.
func everything() tun.HostConfig {
	return tun.HostConfig{
		Name:      "syntap0",
		Addresses: prefixes("198.18.0.1/30", "fd53:7974::1/126"),
		Include:   prefixes("0.0.0.0/0", "::/0"),
		Mark:      0x5359, Table: 5359, Priority: 5359,
	}
}

// open makes a TUN in ns. It ends with the test or earlier, with the function returned.
func open(t *testing.T, ns *tuntest.Namespace, name string) (remove func()) {
	t.Helper()
	var d *tun.Device
	if err := ns.Do(func() (err error) {
		d, err = tun.Open(name, 1500)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	remove = func() {
		if err := d.Close(); err != nil {
			t.Errorf("close %s: %v", name, err)
		}
		// A process that another test is starting shares the descriptor for a moment.
		tuntest.Wait(t, "the end of "+name, func() bool {
			_, err := ns.Netlink.LinkByName(name)
			return errors.As(err, new(netlink.LinkNotFoundError))
		})
	}
	t.Cleanup(remove)
	return remove
}

// configure calls Configure in ns; the test fails if that does.
func configure(t *testing.T, ns *tuntest.Namespace, c tun.HostConfig) *tun.Host {
	t.Helper()
	h, err := tryConfigure(ns, c)
	if err != nil {
		t.Fatalf("Configure: %v", err)
	}
	for _, a := range c.Addresses { // the kernel's own routes for an IPv6 address follow a moment later
		tuntest.Wait(t, "address "+a.String(), func() bool { return routeTo(t, ns, a.Addr().String()) == "dev lo" })
	}
	return h
}

func tryConfigure(ns *tuntest.Namespace, c tun.HostConfig) (h *tun.Host, err error) {
	err = ns.Do(func() (err error) {
		h, err = tun.Configure(c)
		return err
	})
	return h, err
}

// closeHost undoes what Configure has done.
func closeHost(t *testing.T, h *tun.Host) {
	t.Helper()
	if err := h.Close(); err != nil {
		t.Errorf("Host.Close: %v", err)
	}
}

// routeTo asks the kernel where a packet goes: "dev NAME", or an error's name for one that goes nowhere.
func routeTo(t *testing.T, ns *tuntest.Namespace, query string) string {
	t.Helper()
	out, err := ns.Command(t.Context(), "ip", strings.Fields("-oneline route get "+query)...).CombinedOutput()
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
	ns.Run("ping", "-c1", "-w10", "fd53:7974::1") // usable at once
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
		change func(*tun.HostConfig)
		want   string
	}{
		{"no interface", func(c *tun.HostConfig) { c.Name = "syntap9" }, "find interface syntap9: Link not found"},
		{"no mark", func(c *tun.HostConfig) { c.Mark = 0 }, "add rules: the mark 0 is that of every socket"},
		{
			"address twice", func(c *tun.HostConfig) { c.Addresses = prefixes("198.18.0.1/30", "198.18.0.1/30") },
			"add address 198.18.0.1/30 dev syntap0: file exists",
		},
		{
			"prefix twice", func(c *tun.HostConfig) { c.Include = prefixes("203.0.113.0/24", "203.0.113.9/24") },
			"add route 203.0.113.9/24 dev syntap0 table 5359: file exists",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ns := tuntest.NewNamespace(t)
			before := ns.State()
			remove := open(t, ns, "syntap0")
			c := everything()
			tt.change(&c)
			h, err := tryConfigure(ns, c)
			if h != nil || err == nil || err.Error() != tt.want {
				t.Errorf("Configure = %v, %v, want nil and %q", h, err, tt.want)
			}
			remove()
			if diff := cmp.Diff(before, ns.State()); diff != "" {
				t.Errorf("left behind (-before +after):\n%s", diff)
			}
		})
	}
}

// TestConfigureFailsAnywhere fails at each step in turn.
func TestConfigureFailsAnywhere(t *testing.T) {
	t.Parallel()
	ns := tuntest.NewNamespace(t)
	before := ns.State()
	var steps []string
	for i := 0; ; i++ {
		remove := open(t, ns, "syntap0")
		steps = steps[:0]
		var h *tun.Host
		err := ns.Do(func() (err error) {
			h, err = tun.ConfigureFailing(everything(), func(what string) error {
				if len(steps) == i {
					return fmt.Errorf("failpoint %d", i)
				}
				steps = append(steps, what)
				return nil
			})
			return err
		})
		if err == nil {
			closeHost(t, h)
			remove()
			break
		}
		if !strings.HasSuffix(err.Error(), fmt.Sprintf(": failpoint %d", i)) {
			t.Errorf("Configure = %v, want only failpoint %d", err, i)
		}
		if state := ns.State(); strings.Contains(state, "5359") {
			t.Errorf("failure after %q leaves rules or routes behind:\n%s", steps, state)
		}
		remove()
	}
	if diff := cmp.Diff(before, ns.State()); diff != "" {
		t.Errorf("left behind (-before +after):\n%s", diff)
	}
	// The order that keeps the router's own traffic out at every moment: routes before rules, the last rule the one that
	// sends traffic in.
	want := []string{
		"set queue length of syntap0",
		"turn off link-local addresses of syntap0",
		"enable IPv6 on syntap0",
		"add address 198.18.0.1/30 dev syntap0",
		"add address fd53:7974::1/126 dev syntap0",
		"set interface syntap0 up",
		"add route 0.0.0.0/0 dev syntap0 table 5359",
		"add route ::/0 dev syntap0 table 5359",
		"add throw route 224.0.0.0/4 table 5359",
		"add throw route 255.255.255.255/32 table 5359",
		"add IPv4 rule 5359: from all fwmark 0x5359 lookup 254",
		"add IPv4 rule 5360: from all fwmark 0x5359 lookup 253",
		"add IPv4 rule 5361: from all fwmark 0x5359 unreachable",
		"add IPv4 rule 5362: from all iif syntap0 lookup 254",
		"add IPv4 rule 5363: from all lookup 5359",
		"add IPv6 rule 5359: from all fwmark 0x5359 lookup 254",
		"add IPv6 rule 5360: from all fwmark 0x5359 lookup 253",
		"add IPv6 rule 5361: from all fwmark 0x5359 unreachable",
		"add IPv6 rule 5362: from all iif syntap0 lookup 254",
		"add IPv6 rule 5363: from all lookup 5359",
	}
	if diff := cmp.Diff(want, steps); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}
