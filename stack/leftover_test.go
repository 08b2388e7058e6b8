//go:build linux

package stack

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"syntap/stack/dial"
	"syntap/stack/nat/mappings"
	tunflow "syntap/tun/flow"
	"syntap/tun/tuntest"
)

// TestNothingIsLeft opens and ends connections in every way there is, and looks for what they have
// left: an entry in any map of the Stack, a charge, a count, a socket. SYNTAP_SOAK has it do ten
// times as many.
func TestNothingIsLeft(t *testing.T) {
	t.Run("1 shard", func(t *testing.T) { nothingIsLeft(t, 1, 100) })
	t.Run("3 shards", func(t *testing.T) { nothingIsLeft(t, 3, 5) })
}

func nothingIsLeft(t *testing.T, shards, rounds int) {
	if os.Getenv("SYNTAP_SOAK") != "" {
		rounds *= 10
	}
	e := newEveryEnding(t, shards)
	e.run(t, 1)
	e.openRouteSockets(t)
	sockets := tuntest.OpenSockets(t)
	e.run(t, rounds)
	e.checkAll(t)

	router := e.router
	for name, left := range map[string]func() int64{ // some end a moment after their connection
		"half-open handshakes": router.stats.HalfOpen.Load,
		"bytes charged":        router.memory.Charged,
		"bytes lent":           router.memory.Lent,
		"marked connections":   router.markedFlows.Load,
		"netstack's endpoints": func() int64 { return int64(len(router.net.RegisteredEndpoints())) },
	} {
		tuntest.Wait(t, "no "+name, func() bool { return left() == 0 })
	}
	tuntest.Wait(t, "all sockets are closed", func() bool { return tuntest.OpenSockets(t) <= sockets })
	router.stop()
	for _, left := range tuntest.Filled(router.Stack, "Stack", "syntap/stack") {
		constant := strings.Contains(left, ".known") || strings.Contains(left, ".dialer.defaults") // of this host
		if !constant {
			t.Errorf("%s are left", left)
		}
	}
}

// everyEnding is a router whose connections end in every way.
type everyEnding struct {
	router *testRouter
	client *testClient
	ends   [tunflow.RouterRST + 1]atomic.Int64
	ports  atomic.Uint32 // of clients without a stack

	// Ports of servers: they answer with the bytes that they get, close at once, reset, refuse, and
	// do not answer. The handshakes with the last one never get on record.
	echo, closing, resetting, refusing, silent, unrecorded int
}

// bystander is a client whose packets the client's stack does not see.
var bystander = netip.MustParseAddr("198.51.100.9")

func newEveryEnding(t *testing.T, shards int) *everyEnding {
	echo := func(c *net.TCPConn) { _, _ = io.Copy(c, c) }
	e := &everyEnding{
		echo:    serve(t, "tcp4", echo),
		closing: serve(t, "tcp4", func(c *net.TCPConn) { _, _ = c.Write([]byte("bye")) }),
		resetting: serve(t, "tcp4", func(c *net.TCPConn) {
			_, _ = c.Read(make([]byte, 1))
			_ = c.SetLinger(0)
		}),
		refusing: refusingPort(t, "tcp4"), silent: silentPort(t), unrecorded: serve(t, "tcp4", echo),
	}
	e.router = startShards(t, shards, Options{
		HandshakeTimeout: time.Second, DialTimeout: time.Second,
		Datagrams:         mappings.Limits{UDPTimeout: time.Second, PerSource: 16384},
		HalfOpenPerSource: 4096, AwaitRecord: true,
		FlowDone: func(f tunflow.Flow) { e.ends[f.End].Add(1) },
		DialDone: func(d tunflow.Dial) {
			if d.Answer == tunflow.Connected && d.Server.Port() != uint16(e.unrecorded) {
				e.router.Recorded(d.Key, 0, nil)
			}
		},
	}, dial.Policy{Deny: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}})
	e.client = newClient(t, e.router)
	e.client.ignored.Store(&bystander)
	return e
}

// converse opens a connection and sends two bytes.
func (e *everyEnding) converse(port int, then func(*gonet.TCPConn)) {
	c, err := e.client.tryDial(serverV4, port, patience)
	if err != nil { // its time was over on a machine that stalls: another ending
		return
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	_, _ = c.Write([]byte("xx"))
	then(c)
}

// syn sends a SYN of a client without a stack.
func (e *everyEnding) syn(from, to netip.Addr, port int) {
	packet := tuntest.TCP{
		Src: e.from(from), Dst: netip.AddrPortFrom(to, uint16(port)),
		Seq: e.ports.Load(), Flags: tuntest.SYN, Window: 65535, IP: tuntest.IP{TOS: 0x28},
	}.Packet()
	_ = e.router.host.Send(tuntest.Frame{Data: packet})
}

// from returns the address of a client with its next port.
func (e *everyEnding) from(client netip.Addr) netip.AddrPort {
	return netip.AddrPortFrom(client, uint16(1024+e.ports.Add(1)%8192))
}

// ending is a way in which a connection ends, so many times in a round of a hundred.
type ending struct {
	times int
	run   func()
}

func (e *everyEnding) all() []ending {
	readAll := func(c *gonet.TCPConn) { _, _ = io.Copy(io.Discard, c) }
	return []ending{
		{25, func() { e.converse(e.echo, func(c *gonet.TCPConn) { _ = c.CloseWrite(); readAll(c) }) }},
		{24, func() { e.converse(e.closing, readAll) }},
		{10, func() { // closing with a byte unread is a RST
			e.converse(e.echo, func(c *gonet.TCPConn) { _, _ = io.ReadFull(c, make([]byte, 1)) })
		}},
		{10, func() { e.converse(e.resetting, readAll) }},
		{1, func() { e.converse(e.unrecorded, readAll) }},
		{10, func() { e.syn(bystander, serverV4, e.refusing) }},
		{4, func() { e.syn(bystander, netip.MustParseAddr("203.0.113.9"), 80) }},
		{4, func() { e.syn(clientV6, netip.MustParseAddr("::ffff:192.0.2.1"), 80) }}, // unreachable
		{2, func() { e.syn(bystander, serverV4, e.silent) }},
		{4, func() { e.syn(bystander, serverV4, e.echo) }}, // half open until HandshakeTimeout
		{4, func() { e.syn(clientV4, serverV4, e.echo) }},  // the client's stack resets it
		{2, func() {
			packet := tuntest.UDP{Src: e.from(clientV4), Dst: netip.AddrPortFrom(serverV4, 9)}.Packet()
			_ = e.router.host.Send(tuntest.Frame{Data: packet})
		}},
	}
}

// openRouteSockets has each shard open the sockets by which it asks for routes: shards take turns.
func (e *everyEnding) openRouteSockets(t *testing.T) {
	t.Helper()
	far := tuntest.ListenUDP(t, "127.0.0.1:0")
	server := netip.AddrPortFrom(serverV4, tuntest.PortOf(far))
	for range 4 * len(e.router.shards) {
		e.router.host.Exchange(t, e.from(clientV4), server, far)
	}
	udp := &e.router.stats.Datagrams.UDP
	tuntest.Wait(t, "no mappings", func() bool { return udp.Load() == 0 })
}

// run has rounds of a hundred connections end, and waits until all have.
func (e *everyEnding) run(t *testing.T, rounds int) {
	t.Helper()
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
		for _, ending := range e.all() {
			for range ending.times {
				todo <- ending.run
			}
		}
	}
	close(todo)
	workers.Wait()
	// Without a tap, which drops such a third segment, netstack's Forwarder takes the ACK of an
	// earlier SYN-ACK for that of a later one, after HandshakeTimeout: then both ends disagree on
	// their numbers.
	e.client.reset()
	stats := &e.router.stats
	defer e.nameOpen(t)
	tuntest.Wait(t, "all connections and mappings are over", func() bool {
		return stats.TCPFlows.Load() == 0 && stats.Datagrams.UDP.Load() == 0
	})
}

// nameOpen names what is open when a test has failed.
func (e *everyEnding) nameOpen(t *testing.T) {
	t.Helper()
	if !t.Failed() {
		return
	}
	s := e.router.Stack
	for _, s := range s.shards {
		s.mu.Lock()
		defer s.mu.Unlock()
	}
	for key, c := range allConns(s) {
		t.Logf("%v to %v, open for %v: phase %d, directions %d, signals %#x, moved %#x, handshake %t, fd %d",
			key.client, key.server, time.Since(c.started), c.phase.Load(), c.directions.Load(),
			c.seen.bits.Load(), c.moved.Load(), c.handshake != nil, c.fd)
		if c.ep != nil {
			t.Logf("state %v in netstack", tcp.EndpointState(c.ep.State()))
		}
	}
	t.Logf("%d connections, %d mappings", s.stats.TCPFlows.Load(), s.stats.Datagrams.UDP.Load())
}

// checkAll checks that there has been every ending.
func (e *everyEnding) checkAll(t *testing.T) {
	t.Helper()
	for end := tunflow.ClientFIN; end < tunflow.RouterRST; end++ {
		if end != tunflow.ClientTimeout && end != tunflow.ServerTimeout && e.ends[end].Load() == 0 {
			t.Errorf("no connection has ended by %v", end)
		}
	}
	for answer := range e.router.stats.Dials {
		if e.router.stats.Dials[answer].Load() == 0 {
			t.Errorf("no dial has been answered with %v", tunflow.Answer(answer))
		}
	}
	if e.router.stats.Unrecorded.Load() == 0 {
		t.Error("no connection has waited for its record in vain")
	}
}

// refusingPort returns a port of the loopback that refuses connections until the test ends: its
// socket does not listen, and keeps others from the port.
func refusingPort(t *testing.T, network string) int {
	t.Helper()
	loopback := map[string]unix.Sockaddr{
		"tcp4": &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}},
		"tcp6": &unix.SockaddrInet6{Addr: netip.IPv6Loopback().As16()},
	}[network]
	family := map[string]int{"tcp4": unix.AF_INET, "tcp6": unix.AF_INET6}[network]
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.Bind(fd, loopback); err != nil {
		t.Fatal(err)
	}
	return int(dial.LocalAddr(fd).Port())
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
