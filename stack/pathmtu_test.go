//go:build linux

package stack

import (
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"syntap/stack/dial"
	tunflow "syntap/tun/flow"
	"syntap/tun/packet"
)

// TestHostSocketIsSized looks at what the server sees of a bounded socket, and at what the stack
// reports meanwhile.
func TestHostSocketIsSized(t *testing.T) {
	families(t, func(t *testing.T, network string, server netip.Addr) {
		link, err := net.InterfaceByName("lo")
		if err != nil {
			t.Fatal(err)
		}
		segments := make(chan int, 1) // the server's largest ones
		port := serve(t, network, func(c *net.TCPConn) {
			raw, err := c.SyscallConn()
			if err != nil {
				t.Error(err)
				return
			}
			_ = raw.Control(func(fd uintptr) {
				n, _ := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG)
				segments <- n
			})
		})
		var router *testRouter
		dials, pathMTUs := make(chan tunflow.Dial, 1), make(chan packet.MTU, 1)
		router = startRouter(t, Options{
			MSS: func(_, s netip.AddrPort) packet.MSS { return packet.MSS(1000 + s.Addr().BitLen()) },
			DF:  func(_, _ netip.AddrPort) packet.DF { return packet.ClearDF },
			DialDone: func(d tunflow.Dial) {
				dials <- d
				pathMTUs <- router.PathMTU(d.Client, d.Server)
			},
		}, dial.Policy{Deny: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}})
		newClient(t, router).dial(t, server, port)
		want := 1000 + server.BitLen()
		if d := <-dials; int(d.MSS) != want {
			t.Errorf("dial reported with MSS %d, want %d", d.MSS, want)
		}
		if n := <-segments; n > want || n < want-40 {
			t.Errorf("server sends segments of %d bytes, want %d less options", n, want)
		}
		mtu := packet.MTU(link.MTU)
		if server.Is4() {
			mtu = min(mtu, 0xffff) // no IPv4 packet is longer
		}
		if got := <-pathMTUs; got != mtu {
			t.Errorf("path MTU by the socket is %d, want %d", got, mtu)
		}
		if got := router.PathMTU(netip.AddrPort{}, netip.AddrPortFrom(server, 9)); got != mtu {
			t.Errorf("path MTU by the route is %d, want %d", got, mtu)
		}
		if got := router.PathMTU(netip.AddrPort{}, netip.MustParseAddrPort("198.51.100.1:9")); got != 0 {
			t.Errorf("path MTU to a denied destination is %d, want 0", got)
		}
	})
}
