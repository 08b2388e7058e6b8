//go:build linux

package stack

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/stack/dial"
	"syntap/stack/nat"
	tunflow "syntap/tun/flow"
	"syntap/tun/tuntest"
)

// TestNothingIsLeft opens and ends connections in every way there is, and looks for what they have
// left: an entry in any map of the Stack, a charge, a count, a socket. SYNTAP_SOAK has it do ten
// times as many.
func TestNothingIsLeft(t *testing.T) {
	rounds := 100
	if os.Getenv("SYNTAP_SOAK") != "" {
		rounds *= 10
	}
	echo := serve(t, "tcp4", func(c *net.TCPConn) { _, _ = io.Copy(c, c) })
	closing := serve(t, "tcp4", func(c *net.TCPConn) { _, _ = c.Write([]byte("bye")) })
	resetting := serve(t, "tcp4", func(c *net.TCPConn) {
		_, _ = c.Read(make([]byte, 1))
		_ = c.SetLinger(0)
	})
	unrecorded := serve(t, "tcp4", func(c *net.TCPConn) { _, _ = io.Copy(c, c) })
	refusing, silent := refusingPort(t), silentPort(t)

	var router *testRouter
	var ends [tunflow.RouterRST + 1]atomic.Int64
	router = startRouter(t, Options{
		HandshakeTimeout: time.Second, DialTimeout: time.Second,
		Datagrams:         nat.Limits{UDPTimeout: time.Second, PerSource: 16384},
		HalfOpenPerSource: 4096, AwaitRecord: true, FlowDone: func(f tunflow.Flow) { ends[f.End].Add(1) },
		DialDone: func(d tunflow.Dial) {
			if d.Answer == tunflow.Connected && d.Server.Port() != uint16(unrecorded) {
				router.Recorded(d.Key, 0)
			}
		},
	}, dial.Policy{Deny: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}})
	client := newClient(t, router)
	bystander := netip.MustParseAddr("198.51.100.9") // whose packets the client's stack does not answer
	client.ignored.Store(&bystander)

	converse := func(port int, then func(net.Conn)) {
		c, err := client.tryDial(serverV4, port, patience)
		if err != nil { // its time was over on a machine that stalls: another ending
			return
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(patience))
		_, _ = c.Write([]byte("xx"))
		then(c)
	}
	readAll := func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }
	var raw atomic.Uint32 // ports of clients without a stack
	syn := func(from netip.Addr, to netip.Addr, port int) {
		packet := tuntest.TCP{
			Src: netip.AddrPortFrom(from, uint16(1024+raw.Add(1)%8192)),
			Dst: netip.AddrPortFrom(to, uint16(port)),
			Seq: raw.Load(), Flags: tuntest.SYN, Window: 65535, IP: tuntest.IP{TOS: 0x28},
		}.Packet()
		_ = router.host.Send(tuntest.Frame{Data: packet})
	}
	endings := []struct {
		times int // of a round
		run   func()
	}{
		{25, func() {
			converse(echo, func(c net.Conn) { _ = c.(interface{ CloseWrite() error }).CloseWrite(); readAll(c) })
		}},
		{24, func() { converse(closing, readAll) }},
		{10, func() { // closing with a byte unread is a RST
			converse(echo, func(c net.Conn) { _, _ = io.ReadFull(c, make([]byte, 1)) })
		}},
		{10, func() { converse(resetting, readAll) }},
		{1, func() { converse(unrecorded, readAll) }},
		{10, func() { syn(bystander, serverV4, refusing) }},
		{4, func() { syn(bystander, netip.MustParseAddr("203.0.113.9"), 80) }},
		{4, func() { syn(clientV6, netip.MustParseAddr("::ffff:192.0.2.1"), 80) }}, // unreachable
		{2, func() { syn(bystander, serverV4, silent) }},
		{4, func() { syn(bystander, serverV4, echo) }}, // half open until HandshakeTimeout
		{4, func() { syn(clientV4, serverV4, echo) }},  // the client's stack resets what it does not know
		{2, func() {
			packet := tuntest.UDP{
				Src: netip.AddrPortFrom(clientV4, uint16(1024+raw.Add(1)%8192)),
				Dst: netip.AddrPortFrom(serverV4, 9),
			}
			_ = router.host.Send(tuntest.Frame{Data: packet.Packet()})
		}},
	}
	run := func(rounds int) {
		todo := make(chan func())
		var workers sync.WaitGroup
		for range 64 {
			workers.Go(func() {
				for run := range todo {
					run()
				}
			})
		}
		for range rounds {
			for _, e := range endings {
				for range e.times {
					todo <- e.run
				}
			}
		}
		close(todo)
		workers.Wait()
		eventually(t, "all connections and mappings are over", func() bool {
			return router.stats.TCPFlows.Load() == 0 && router.stats.Datagrams.UDP.Load() == 0
		})
	}
	run(1) // opens the sockets that ask for routes
	sockets := openSockets(t)
	run(rounds)

	for end := tunflow.ClientFIN; end < tunflow.RouterRST; end++ {
		if end != tunflow.ClientTimeout && end != tunflow.ServerTimeout && ends[end].Load() == 0 {
			t.Errorf("no connection has ended by %v", end)
		}
	}
	for answer := range router.stats.Dials {
		if router.stats.Dials[answer].Load() == 0 {
			t.Errorf("no dial has been answered with %v", tunflow.Answer(answer))
		}
	}
	if router.stats.Unrecorded.Load() == 0 {
		t.Error("no connection has waited for its record in vain")
	}
	eventually(t, "far sides have acknowledged all", func() bool { return router.memory.all.held.Load() == 0 })
	for name, n := range map[string]int64{
		"half-open handshakes": router.stats.HalfOpen.Load(),
		"bytes lent":           router.memory.all.lent.Load(), "marked connections": router.markedFlows.Load(),
		"netstack's endpoints": int64(len(router.net.RegisteredEndpoints())),
	} {
		if n != 0 {
			t.Errorf("%d %s are left", n, name)
		}
	}
	eventually(t, "all sockets are closed", func() bool { return openSockets(t) <= sockets })
	router.stop()
	for _, left := range filledMaps(reflect.ValueOf(router.Stack).Elem(), "Stack") {
		if !strings.Contains(left, ".known") { // routes and addresses of this host
			t.Errorf("%s are left", left)
		}
	}
}

// openSockets returns the number of sockets of this process.
func openSockets(t *testing.T) (n int) {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range all {
		name, err := os.Readlink("/proc/self/fd/" + fd.Name())
		if err == nil && strings.HasPrefix(name, "socket:") {
			n++
		}
	}
	return n
}

// refusingPort returns a port that refuses connections.
func refusingPort(t *testing.T) int {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// silentPort returns a port that does not answer: the queue of its listener is full.
func silentPort(t *testing.T) int {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err = unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err == nil {
		err = unix.Listen(fd, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	port := name.(*unix.SockaddrInet4).Port
	c, err := net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return port
}

// filledMaps names the maps with entries in a value of this package's types and what it refers to.
// No other goroutine may use it.
func filledMaps(v reflect.Value, name string) (filled []string) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			return filledMaps(v.Elem(), name)
		}
	case reflect.Struct:
		if !strings.HasPrefix(v.Type().PkgPath(), "syntap/stack") {
			return nil
		}
		for i := range v.NumField() {
			filled = append(filled, filledMaps(v.Field(i), name+"."+v.Type().Field(i).Name)...)
		}
	case reflect.Map:
		if v.Len() > 0 {
			return []string{fmt.Sprintf("%d entries of %s", v.Len(), name)}
		}
	default:
	}
	return filled
}
