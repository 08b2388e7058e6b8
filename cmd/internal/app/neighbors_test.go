//go:build linux

package app

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"syntap/stack/names"
	"syntap/tun/tuntest"
)

// TestNeighbors has machines appear on links.
func TestNeighbors(t *testing.T) {
	t.Parallel()
	n, now := new(neighbors), time.Now()
	mac := func(b byte) net.HardwareAddr { return net.HardwareAddr{2, 0, 0, 0, 0, b} }
	note := func(link int, ip string, hardware net.HardwareAddr, state int) {
		n.note(&netlink.Neigh{LinkIndex: link, IP: net.ParseIP(ip), HardwareAddr: hardware, State: state}, now)
	}
	note(1, "192.0.2.1", mac(1), netlink.NUD_STALE)
	note(1, "2001:db8::1", mac(1), netlink.NUD_REACHABLE)
	note(2, "192.0.2.2", mac(1), netlink.NUD_STALE) // on another link
	note(1, "2001:db8::3", nil, netlink.NUD_STALE)
	note(1, "2001:db8::4", mac(1), netlink.NUD_FAILED)
	note(1, "192.0.2.5", mac(5), netlink.NUD_STALE) // a repeater
	note(1, "192.0.2.6", mac(5), netlink.NUD_STALE)
	note(1, "192.0.2.7", mac(7), netlink.NUD_STALE) // with a new lease
	now = now.Add(leaseAge)
	note(1, "192.0.2.8", mac(7), netlink.NUD_STALE)
	for _, tt := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1", "2001:db8::1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"192.0.2.1", "2001:db8::3", false},
		{"192.0.2.1", "2001:db8::4", false},
		{"192.0.2.5", "192.0.2.6", false},
		{"192.0.2.7", "192.0.2.8", true},
		{"192.0.2.100", "192.0.2.101", false},
		{"192.0.2.100", "192.0.2.100", true},
	} {
		same := n.machine(netip.MustParseAddr(tt.a)) == n.machine(netip.MustParseAddr(tt.b))
		if same != tt.same {
			t.Errorf("%s and %s are one machine: %t, want %t", tt.a, tt.b, same, tt.same)
		}
	}
	for i := range 2 * maxNeighbors {
		a := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		n.note(&netlink.Neigh{IP: a.AsSlice(), HardwareAddr: mac(9), State: netlink.NUD_STALE}, now)
	}
	if len(n.byAddr) > maxNeighbors {
		t.Errorf("%d neighbors are kept, want at most %d", len(n.byAddr), maxNeighbors)
	}
}

// TestNeighborsFollow has a router see a client by both of its addresses.
func TestNeighborsFollow(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	n := new(neighbors)
	ctx, stop := context.WithCancel(t.Context())
	followed := make(chan error, 1)
	go func() { followed <- lab.Router.Do(func() error { return n.follow(ctx) }) }()
	four, six := netip.MustParseAddr(tuntest.ClientAddr4), netip.MustParseAddr(tuntest.ClientAddr6)
	lab.Client.Run("ping", "-c", "1", "192.0.2.1")
	tuntest.Wait(t, "the client's IPv4 address", func() bool { return n.machine(four) != names.Machine(four) })
	lab.Client.Run("ping", "-c", "1", "2001:db8:1::1")
	tuntest.Wait(t, "the client's IPv6 address", func() bool { return n.machine(six) == n.machine(four) })
	stop()
	if err := <-followed; err != nil {
		t.Error(err)
	}
}
