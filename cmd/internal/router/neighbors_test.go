//go:build linux

package router

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"syntap/stack/names"
	"syntap/tun/tuntest"
)

// TestNeighbors has machines appear on links.
func TestNeighbors(t *testing.T) {
	t.Parallel()
	type entry struct {
		link    int
		address net.HardwareAddr
	}
	mac := func(b byte) net.HardwareAddr { return net.HardwareAddr{2, 0, 0, 0, 0, b} }
	kernel := map[string]entry{
		"192.0.2.1": {1, mac(1)}, "2001:db8::1": {1, mac(1)},
		"192.0.2.2": {2, mac(1)},                           // on another link
		"192.0.2.5": {1, mac(5)}, "192.0.2.6": {1, mac(5)}, // behind a repeater
		"2001:db8::5": {1, mac(5)},
		"192.0.2.7":   {1, mac(7)}, "192.0.2.8": {1, mac(7)}, // with a new lease
	}
	n := newNeighbors(func(a netip.Addr) (int, net.HardwareAddr) {
		e := kernel[a.String()]
		return e.link, e.address
	})
	now := time.Now()
	machine := func(a string) names.Client { return n.machine(netip.MustParseAddr(a), now) }
	machine("192.0.2.5")
	machine("192.0.2.6")
	before := machine("192.0.2.7")
	now = now.Add(leaseAge)
	if machine("192.0.2.8") != before {
		t.Error("a machine with a new lease is another one")
	}
	for _, tt := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1", "2001:db8::1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"192.0.2.5", "2001:db8::5", true}, // the other one has gone
		{"192.0.2.5", "192.0.2.6", false},
		{"192.0.2.5", "2001:db8::5", false},
		{"192.0.2.100", "192.0.2.101", false}, // behind another router
		{"192.0.2.100", "192.0.2.100", true},
	} {
		if same := machine(tt.a) == machine(tt.b); same != tt.same {
			t.Errorf("%s and %s are one machine: %t, want %t", tt.a, tt.b, same, tt.same)
		}
	}

	// One that appears later, and one that changes.
	kernel["192.0.2.100"] = entry{1, mac(3)}
	kernel["2001:db8::1"] = entry{1, mac(9)}
	now = now.Add(unknownAge)
	if machine("192.0.2.100") == names.Machine(netip.MustParseAddr("192.0.2.100")) {
		t.Error("a machine that the kernel knows now is not asked for again")
	}
	now = now.Add(neighborAge)
	if machine("2001:db8::1") != names.Neighbor(1, mac(9)) {
		t.Error("an address of another machine is the former's")
	}
}

// TestNeighborsBound has sources be forged: the kernel is not asked for each.
func TestNeighborsBound(t *testing.T) {
	t.Parallel()
	asked := 0
	n := newNeighbors(func(netip.Addr) (int, net.HardwareAddr) {
		asked++
		return 1, net.HardwareAddr{2, 0, 0, 0, 0, 1}
	})
	now := time.Now()
	for i := range 3 * maxNeighbors {
		n.machine(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), now)
	}
	if asked > neighborsPerSecond {
		t.Errorf("the kernel was asked %d times in no time, want at most %d", asked, neighborsPerSecond)
	}
	for i := range 3 * maxNeighbors {
		now = now.Add(time.Second)
		n.machine(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), now)
	}
	if len(n.byAddr) > maxNeighbors || len(n.four) > maxNeighbors {
		t.Errorf("%d addresses of %d machines are kept, want at most %d", len(n.byAddr), len(n.four), maxNeighbors)
	}
}

// TestNeighborsOfKernel has a router see a client by both of its addresses.
func TestNeighborsOfKernel(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	lab.Client.Run("ping", "-c", "1", "-w", "60", "192.0.2.1")
	lab.Client.Run("ping", "-c", "1", "-w", "60", "2001:db8:1::1")
	addresses := make(map[string]string)
	err := lab.Router.Do(func() error {
		for _, a := range []string{tuntest.ClientAddr4, tuntest.ClientAddr6, tuntest.ServerAddr4, "192.0.2.77"} {
			_, address := askKernel(0)(netip.MustParseAddr(a))
			addresses[a] = address.String()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	four, six := addresses[tuntest.ClientAddr4], addresses[tuntest.ClientAddr6]
	if four == "" || four != six || addresses[tuntest.ServerAddr4] != "" || addresses["192.0.2.77"] != "" {
		t.Errorf("link-layer addresses %q, want one of the client's addresses, and no others", addresses)
	}
}
