//go:build linux

package stack

import (
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"syntap/stack/dial"
	tunflow "syntap/tun/flow"
	"syntap/tun/tuntest"
)

// A client learns how its dial ended when the caller lets it, and not before.
func TestBeforeAnswer(t *testing.T) {
	closed := refusingPort(t, "tcp4")
	port := serve(t, "tcp4", func(c *net.TCPConn) { _ = c.Close() })
	denied := dial.Policy{Deny: []netip.Prefix{netip.MustParsePrefix("2001:db8:3::/48")}}
	for _, tt := range []struct {
		name   string
		server netip.Addr
		port   int
		want   tunflow.Answer
	}{
		{"connected", serverV4, port, tunflow.Connected},
		{"refused", serverV4, closed, tunflow.Refused},
		{"denied", netip.MustParseAddr("2001:db8:3::9"), port, tunflow.Denied},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var told atomic.Int32
			done, held := make(chan tunflow.Dial, 10), make(chan func(), 10)
			router := startRouter(t, Options{
				DialDone: func(d tunflow.Dial) { told.Add(1); done <- d },
				BeforeAnswer: func(k tunflow.Key, answer func()) {
					if k.Server.Addr() != tt.server {
						t.Errorf("asked about %v, want %v", k.Server, tt.server)
					}
					held <- answer
				},
			}, denied)
			client := map[bool]string{true: "198.51.100.1:1051", false: "[2001:db8:1::1]:1051"}[tt.server.Is4()]
			syn := tuntest.TCP{
				Src: netip.MustParseAddrPort(client), Dst: netip.AddrPortFrom(tt.server, uint16(tt.port)), Seq: 7, Flags: tuntest.SYN, Window: 65535,
			}.Packet()
			router.host.MustSend(t, tuntest.Frame{Data: syn})
			answer := within(t, held)
			if _, answered := router.host.Receive(0); answered || told.Load() != 0 {
				t.Error("the client knows before the app lets it")
			}
			answer()
			answer() // as after another event of the socket
			if got := within(t, done); got.Answer != tt.want {
				t.Errorf("the dial ended with %v, want %v", got.Answer, tt.want)
			}
			if _, answered := router.host.Receive(patience); !answered {
				t.Error("the client is not answered")
			}
			router.stop()
			if n := told.Load(); n != 1 {
				t.Errorf("told %d times", n)
			}
		})
	}
}

// within receives before the test loses patience.
func within[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatal("nothing comes")
		panic("unreachable")
	}
}
