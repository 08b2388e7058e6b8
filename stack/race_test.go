//go:build linux

package stack

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/stack/dial"
	"syntap/stack/race"
	"syntap/stack/virtual"
	tunflow "syntap/tun/flow"
	"syntap/tun/tuntest"
)

var virtualPool = virtual.Pool{
	V4: netip.MustParsePrefix("198.18.0.0/16"), V6: netip.MustParsePrefix("fd00:1:2:3::/64"),
}

// startByName starts a router for a client that knows servers by virtual addresses.
func startByName(t *testing.T, o Options, d dial.Options) *testRouter {
	t.Helper()
	router, host := tuntest.NewPipe(1500)
	s, err := New(router, dial.New(d), o)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return runRouter(t, s, host, func(run func() error) error { return run() })
}

// assign has a name get addresses that stand for real ones.
func assign(t *testing.T, table *virtual.Table, real []netip.Addr, expires time.Time) (v4, v6 netip.Addr) {
	t.Helper()
	var of [2][]netip.Addr
	for _, a := range real {
		f := virtual.FamilyOf(a)
		of[f] = append(of[f], a)
	}
	const name = "www.example.com"
	v4, err := table.Assign(name, virtual.V4, of[virtual.V4], expires)
	if err == nil {
		v6, err = table.Assign(name, virtual.V6, of[virtual.V6], expires)
	}
	if err != nil {
		t.Fatal(err)
	}
	return v4, v6
}

// mute has an address of this host leave SYNs to a port unanswered.
func mute(t *testing.T, addr netip.AddrPort) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: addr.Addr().As4(), Port: int(addr.Port())}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	c, err := net.DialTimeout("tcp4", addr.String(), patience) // fills the queue of connections
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
}

// A name's addresses are tried in turn until one accepts.
func TestNextAddress(t *testing.T) {
	port := serve(t, "tcp4", func(c *net.TCPConn) { _, _ = io.WriteString(c, "hello") })
	at := func(a string) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(a), uint16(port)) }
	mute(t, at("127.0.0.9"))
	const denied = "127.0.0.4"
	for i, tt := range []struct {
		real   []string
		want   tunflow.Answer
		remote string
	}{
		{[]string{"127.0.0.1"}, tunflow.Connected, "127.0.0.1"},
		{[]string{"127.0.0.2", "127.0.0.1"}, tunflow.Connected, "127.0.0.1"},
		{[]string{"127.0.0.9", "127.0.0.1"}, tunflow.Connected, "127.0.0.1"},
		{[]string{"127.0.0.9", "127.0.0.2", "127.0.0.1"}, tunflow.Connected, "127.0.0.1"},
		{[]string{"2001:db8::1", "127.0.0.1"}, tunflow.Connected, "127.0.0.1"}, // no route
		{[]string{"127.0.0.2", "127.0.0.3"}, tunflow.Refused, "127.0.0.2"},
		{[]string{"127.0.0.9", "127.0.0.2"}, tunflow.NoReply, "127.0.0.9"},
		{[]string{denied, "127.0.0.1"}, tunflow.Connected, "127.0.0.1"},
		{[]string{denied}, tunflow.Denied, ""},
		{nil, tunflow.Denied, ""},
	} {
		t.Run(fmt.Sprint(tt.real), func(t *testing.T) {
			table := virtual.New(virtualPool, nil)
			var real []netip.Addr
			for _, a := range tt.real {
				real = append(real, netip.MustParseAddr(a))
			}
			v4, _ := assign(t, table, real, time.Now().Add(time.Hour))
			dials := make(chan tunflow.Dial, 1)
			policy := dial.Policy{Deny: []netip.Prefix{netip.MustParsePrefix(denied + "/32")}}
			timeout := patience
			if tt.want == tunflow.NoReply {
				timeout = 2 * time.Second
			}
			router := startByName(t, Options{
				DialTimeout: timeout, DialDone: func(d tunflow.Dial) { dials <- d },
			}, dial.Options{Policy: policy, Virtual: table})
			client := netip.AddrPortFrom(clientV4, uint16(4000+i))
			router.byHand(client, netip.AddrPortFrom(v4, uint16(port)), 1000).send(t, tuntest.SYN)
			d := within(t, dials)
			remote := ""
			if d.Remote.IsValid() {
				remote = d.Remote.Addr().String()
			}
			if d.Answer != tt.want || remote != tt.remote || d.Server.Addr() != v4 {
				t.Errorf("%v of %s by %s, want %v of %s", d.Answer, remote, d.Server, tt.want, tt.remote)
			}
		})
	}
}

// An address that has accepted is not raced while the answer to the client is held back.
func TestNoRaceWhileHeld(t *testing.T) {
	accepted := make(chan struct{}, 10)
	port := serve(t, "tcp4", func(c *net.TCPConn) {
		accepted <- struct{}{}
		_, _ = io.Copy(c, c)
	})
	table := virtual.New(virtualPool, nil)
	real := netip.MustParseAddr("127.0.0.1")
	v4, _ := assign(t, table, []netip.Addr{real, real}, time.Now().Add(time.Hour))
	held := make(chan func(), 10)
	router := startByName(t, Options{
		BeforeAnswer: func(_ tunflow.Key, answer func()) { held <- answer },
	}, dial.Options{Virtual: table})
	c := router.byHand(netip.AddrPortFrom(clientV4, 4000), netip.AddrPortFrom(v4, uint16(port)), 1000)
	c.send(t, tuntest.SYN)
	answer := within(t, held)
	time.Sleep(2 * race.Delay) // nothing may happen meanwhile
	answer()
	c.awaitSYNACK(t)
	within(t, accepted)
	if len(accepted) > 0 {
		t.Error("another address was dialled")
	}
}

// A connection by a virtual address is one to the real address in all else.
func TestCarriesByName(t *testing.T) {
	port := serve(t, "tcp4", func(c *net.TCPConn) { _, _ = io.Copy(c, c) })
	table := virtual.New(virtualPool, nil)
	real := []netip.Addr{netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.1")}
	v4, v6 := assign(t, table, real, time.Now().Add(time.Hour))
	router := startByName(t, Options{}, dial.Options{Virtual: table})
	client := newClient(t, router)
	for _, a := range []netip.Addr{v4, v6} {
		c := client.dial(t, a, port)
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(make([]byte, 1)); n != 1 {
			t.Errorf("%s: %v", a, err)
		}
		_ = c.Close()
	}
}

// A handshake that ends while its name is asked for, or its addresses are tried, leaves nothing.
func TestDialByNameAbandoned(t *testing.T) {
	const port = 4444
	dead := netip.MustParseAddr("127.0.0.9")
	mute(t, netip.AddrPortFrom(dead, port))
	for _, asking := range []bool{true, false} {
		t.Run(fmt.Sprintf("asking=%t", asking), func(t *testing.T) {
			answer := make(chan func(...virtual.Family), 1)
			table := virtual.New(virtualPool, func(_ string, done func(...virtual.Family)) { answer <- done })
			expires := time.Now().Add(time.Hour)
			if asking {
				expires = time.Now().Add(-time.Second)
			}
			v4, _ := assign(t, table, []netip.Addr{dead, netip.MustParseAddr("::ffff:0:1")}, expires)
			router := startByName(t, Options{DialTimeout: 100 * time.Millisecond}, dial.Options{Virtual: table})
			c := router.byHand(netip.AddrPortFrom(clientV4, 4000), netip.AddrPortFrom(v4, port), 1000)
			c.send(t, tuntest.SYN)
			tuntest.Wait(t, "the end of the handshake", func() bool { return router.stats.Dials[tunflow.NoReply].Load() == 1 })
			if asking {
				within(t, answer)(virtual.V4, virtual.V6)
			}
			tuntest.Wait(t, "no connection", func() bool { return router.stats.TCPFlows.Load() == 0 })
			router.stop()
			if n := router.sockets.Len(); n != 0 {
				t.Errorf("%d host sockets are left", n)
			}
		})
	}
}
