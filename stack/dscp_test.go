//go:build linux

package stack

import (
	"io"
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"syntap/stack/dial"
	"syntap/tun/tuntest"
)

// The host socket has the DSCP of the client's SYN, and then that of its segments, without ECN.
func TestDSCP(t *testing.T) {
	tcpFamilies(t, func(t *testing.T, network string, client, server netip.Addr) {
		port := serve(t, network, func(c *net.TCPConn) { _, _ = io.Copy(c, c) })
		router := startShards(t, testShards, Options{}, dial.Policy{})
		from, to := netip.AddrPortFrom(client, 4000), netip.AddrPortFrom(server, uint16(port))
		c := router.byHand(from, to, 1000)
		c.tos = 0x28 | 1 // AF11, ECT(1)
		c.connect(t)
		marked := func(want int) func() bool {
			return func() bool {
				home := router.home(connKey{from, to})
				home.mu.Lock()
				defer home.mu.Unlock()
				level, name := unix.IPPROTO_IP, unix.IP_TOS
				if server.Is6() {
					level, name = unix.IPPROTO_IPV6, unix.IPV6_TCLASS
				}
				got, err := unix.GetsockoptInt(home.conns[connKey{from, to}].fd, level, name)
				return err == nil && got&dscpMask == want
			}
		}
		if !marked(0x28)() {
			t.Error("the host socket does not have the DSCP of the SYN")
		}
		for _, tos := range []uint8{0xb8, 0} {
			c.tos = tos
			c.send(t, tuntest.ACK, 'x')
			tuntest.Wait(t, "the segment's DSCP", marked(int(tos)))
		}
		if n := router.markedFlows.Load(); n != 0 {
			t.Errorf("%d connections count as marked, want none", n)
		}
	})
}
