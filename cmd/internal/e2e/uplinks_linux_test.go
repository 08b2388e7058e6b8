package e2e_test

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// TestTwoUplinks has one socket of a client send to two servers, which the host reaches by two
// uplinks: each sees the address of its uplink, and both answers arrive. Then an uplink gets
// another address.
func TestTwoUplinks(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	lab.Router.Join("wan1", lab.Server, "eth1")
	for _, a := range []struct {
		ns           *tuntest.Namespace
		link, prefix string
	}{
		{lab.Router, "wan1", "203.0.113.193/30"},
		{lab.Router, "wan1", "2001:db8:8::1/64"},
		{lab.Server, "eth1", "203.0.113.194/30"},
		{lab.Server, "eth1", "2001:db8:8::2/64"},
		{lab.Server, "lo", "203.0.113.80/32"},
		{lab.Server, "lo", "2001:db8:8:1::80/128"},
	} {
		a.ns.AddAddress(a.link, a.prefix)
	}
	lab.Router.AddRoute("203.0.113.80/32", "203.0.113.194")
	lab.Router.AddRoute("2001:db8:8:1::80/128", "2001:db8:8::2")
	r := run(t, lab.Router, "syntap0", datagramGateway)
	for i, any := range []string{"0.0.0.0:0", "[::]:0"} {
		near, far := addresses()[i], []string{"203.0.113.80", "2001:db8:8:1::80"}[i]
		uplinks := map[string]string{
			near: []string{tuntest.RouterAddr4, tuntest.RouterAddr6}[i],
			far:  []string{"203.0.113.193", "2001:db8:8::1"}[i],
		}
		client := listenDatagrams(t, lab.Client, any)
		servers := map[string]*net.UDPConn{}
		for _, host := range []string{near, far} {
			servers[host] = listenDatagrams(t, lab.Server, net.JoinHostPort(host, "7000"))
		}
		for range 2 {
			for host, server := range servers {
				send(t, client, server.LocalAddr(), "question")
				from := receive(t, server, "question")
				if got := from.(*net.UDPAddr).AddrPort().Addr(); got != netip.MustParseAddr(uplinks[host]) {
					t.Errorf("%s sees %s, want %s", host, got, uplinks[host])
				}
				send(t, server, from, "answer of "+host)
				if got := receive(t, client, "answer of "+host).(*net.UDPAddr).AddrPort().Addr(); got != netip.MustParseAddr(host) {
					t.Errorf("the answer of %s came from %s", host, got)
				}
			}
		}

		was, is := uplinks[far]+[]string{"/30", "/64"}[i], []string{"203.0.113.197/30", "2001:db8:8::77/64"}[i]
		lab.Router.Run("ip", "address", "delete", was, "dev", "wan1")
		lab.Router.AddAddress("wan1", is)
		if i == 0 {
			lab.Server.AddAddress("eth1", "203.0.113.198/30")
			lab.Router.AddRoute("203.0.113.80/32", "203.0.113.198")
		}
		b := make([]byte, 100)
		tuntest.Wait(t, "a datagram from the new address", func() bool {
			send(t, client, servers[far].LocalAddr(), "question")
			_ = servers[far].SetReadDeadline(time.Now().Add(100 * time.Millisecond))
			_, from, err := servers[far].ReadFromUDPAddrPort(b)
			return err == nil && from.Addr() == netip.MustParsePrefix(is).Addr()
		})
	}
	r.stop(t, unix.SIGTERM)
}
