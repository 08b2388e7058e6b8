package e2e_test

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// TestNeighboursOnBridge has a container call another one on the same bridge, while the netfilter
// hooks of IP see the frames that the bridge forwards, as Docker asks for. The host only passes the
// frames on, so nothing of it enters the TUN.
func TestNeighboursOnBridge(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/sys/net/bridge"); err != nil {
		t.Skip("this kernel has no br_netfilter")
	}
	h := newHostLab(t)
	for _, family := range []string{"iptables", "ip6tables"} {
		h.Router.Sysctl("net.bridge.bridge-nf-call-"+family, "1")
	}
	neighbour := tuntest.NewNamespace(t)
	neighbour.Sysctl("net.ipv6.conf.default.accept_dad", "0")
	h.Router.Join("veth1", neighbour, "eth0")
	h.Router.Run("ip", "link", "set", "veth1", "master", "docker0")
	neighbour.AddAddress("eth0", "203.0.113.131/26")
	neighbour.AddAddress("eth0", "2001:db8:5::3/64")
	neighbour.AddRoute("0.0.0.0/0", "203.0.113.129")
	neighbour.AddRoute("::/0", "2001:db8:5::1")
	r := run(t, h.Router, "syntap0", `
tun: {name: syntap0, sources: [host, 203.0.113.128/26, "2001:db8:5::/64"]}
tap: {log: [{format: json, path: DIR/handshakes.json}]}
`)
	h.callAll(t, "to the world", call{ns: neighbour}, "world")
	h.far4, h.far6 = containerAddr4, containerAddr6
	h.callAll(t, "to the neighbour", call{ns: neighbour}, "container")
	r.waitRecords(t, 2)
	r.stop(t, unix.SIGTERM)
	if n := len(r.records(t)); n != 2 {
		t.Errorf("%d records, want those of the two connections to the world", n)
	}
}
