package e2e_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// TestNeighbours sends packets of OSPF and VRRP to a neighbour's own address, as FRR does to
// describe its database, and keepalived with unicast_peer. They leave by the link.
func TestNeighbours(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	r := run(t, lab.Router, "syntap0", everything)
	for _, protocol := range []string{"89", "112"} {
		for own, neighbour := range map[string]string{"198.51.100.1": "198.51.100.2", "2001:db8:2::1": "2001:db8:2::2"} {
			network := "ip4:" + protocol
			if strings.Contains(own, ":") {
				network = "ip6:" + protocol
			}
			in, out := lab.Server.ListenPacket(network, neighbour), lab.Router.ListenPacket(network, own)
			defer in.Close()
			defer out.Close()
			if _, err := out.WriteTo([]byte("hello"), &net.IPAddr{IP: net.ParseIP(neighbour)}); err != nil {
				t.Errorf("%s to %s: %v", network, neighbour, err)
				continue
			}
			if err := in.SetReadDeadline(time.Now().Add(tuntest.Patience)); err != nil {
				t.Fatal(err)
			}
			if _, from, err := in.ReadFrom(make([]byte, 100)); err != nil || from.String() != own {
				t.Errorf("%s at %s: from %v, %v", network, neighbour, from, err)
			}
		}
	}
	r.stop(t, unix.SIGTERM)
}
