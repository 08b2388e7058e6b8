//go:build linux

package nat

import (
	"bytes"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/stack/dial"
	"syntap/stack/inspect"
	"syntap/stack/nat/hostsock"
	"syntap/stack/nat/mappings"
	"syntap/tun"
	tunflow "syntap/tun/flow"
	"syntap/tun/tuntest"
)

// TestMappingsAreCharged: where the memory is used up, an unanswered mapping of the client gives
// way, and without one the datagram is dropped.
func TestMappingsAreCharged(t *testing.T) {
	link := &sink{}
	router := newRouter(t, link, dial.Options{Redirect: tuntest.ToLoopback}, Options{})
	router.memory = 3 * mappingMemory
	far, port := lonePeer(t)
	client := func(port uint16) netip.AddrPort { return netip.AddrPortFrom(clientV4, port) }
	answered := func(p uint16) {
		t.Helper()
		m, peer := router.opened(t, client(p), far, port)
		var msg hostsock.Msghdr
		if errno := msg.Send(far, peer, 0, []byte("answer")); errno != 0 {
			t.Fatal(errno)
		}
		tuntest.Wait(t, "an answer", func() bool {
			link.last = nil
			router.replies.ready(m, unix.EPOLLIN)
			return bytes.HasSuffix(link.last, []byte("answer"))
		})
	}
	for p := range uint16(5) {
		router.opened(t, client(1000+p), far, port)
	}
	if n, evicted := router.stats.UDP.Load(), router.stats.Evicted.Load(); n != 3 || evicted != 2 {
		t.Errorf("%d mappings, %d evicted, want 3 and 2", n, evicted)
	}
	if n := router.charged.Load(); n != router.memory {
		t.Errorf("%d bytes are charged, want %d", n, router.memory)
	}
	for p := range uint16(3) {
		answered(1002 + p)
	}
	b := datagram(client(2000), netip.AddrPortFrom(serverV4, port), nil)
	router.route(tuntest.Frame{Data: b})
	if n := router.noMemory.Load(); n != 1 {
		t.Errorf("%d datagrams dropped for want of memory, want 1", n)
	}
	if n := router.stats.UDP.Load(); n != 3 {
		t.Errorf("%d mappings, want the 3 that are answered", n)
	}
	router.memory += mappingMemory
	router.opened(t, client(2000), far, port)
}

// TestQueueIsCharged: the datagrams that wait in a socket after a turn are charged, until the
// poller has read them. Where they do not fit, the kernel buffers fewer.
func TestQueueIsCharged(t *testing.T) {
	for _, scarce := range []bool{false, true} {
		router := newRouter(t, &sink{}, dial.Options{Redirect: tuntest.ToLoopback}, Options{})
		if scarce {
			router.memory = mappingMemory
		}
		far, port := lonePeer(t)
		m, peer := router.opened(t, netip.AddrPortFrom(clientV4, 5353), far, port)
		bufferSize := func() int {
			size, err := unix.GetsockoptInt(m.FD(), unix.SOL_SOCKET, unix.SO_RCVBUF)
			if err != nil {
				t.Fatal(err)
			}
			return size
		}
		whole := bufferSize()
		var msg hostsock.Msghdr
		const sent = 3 * datagramsPerTurn
		for i := range sent {
			if errno := msg.Send(far, peer, 0, randomBytes(8000+i%2)); errno != 0 { // no two alike
				t.Fatal(errno)
			}
		}
		tuntest.Wait(t, "datagrams in the queue", func() bool { return m.inQueue() > sent*8000/2 })
		router.replies.ready(m, unix.EPOLLIN)
		charged, size := router.charged.Load()-mappingMemory, bufferSize()
		if got := charged >= sent*8000/4; got == scarce {
			t.Errorf("scarce %t: %d bytes charged, %d queued", scarce, charged, m.inQueue())
		}
		if small := size <= 2*littleQueued; small != scarce {
			t.Errorf("scarce %t: a buffer of %d bytes, began with %d", scarce, size, whole)
		}
		tuntest.Wait(t, "an empty queue", func() bool {
			router.replies.ready(m, unix.EPOLLIN)
			return m.inQueue() == 0
		})
		router.replies.ready(m, unix.EPOLLIN)
		if n := router.charged.Load(); n != mappingMemory {
			t.Errorf("scarce %t: %d bytes are charged for an empty socket", scarce, n)
		}
		if n := bufferSize(); n != whole {
			t.Errorf("scarce %t: a buffer of %d bytes, began with %d", scarce, n, whole)
		}
	}
}

// TestEndOfCharged: a mapping may end while the poller is about to end the charge for the datagrams
// in its socket. Only the race detector sees more than the sum.
func TestEndOfCharged(t *testing.T) {
	router := newRouter(t, &sink{}, dial.Options{Redirect: tuntest.ToLoopback}, Options{})
	far, port := lonePeer(t)
	var msg hostsock.Msghdr
	for i := range uint16(10) {
		m, peer := router.opened(t, netip.AddrPortFrom(clientV4, 5353+i), far, port)
		for range 2 * datagramsPerTurn {
			if errno := msg.Send(far, peer, 0, randomBytes(4000)); errno != 0 {
				t.Fatal(errno)
			}
		}
		tuntest.Wait(t, "datagrams in the queue", func() bool { return m.inQueue() > 5*datagramsPerTurn*4000/4 })
		router.replies.ready(m, unix.EPOLLIN)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			m.End()
		}()
		router.replies.ready(m, unix.EPOLLIN)
		m.settle()
		<-ended
	}
}

// TestNamesAreCharged: a mapping remembers the client's names for many far ends at a charge.
func TestNamesAreCharged(t *testing.T) {
	for _, scarce := range []bool{false, true} {
		router := newRouter(t, &sink{}, dial.Options{Redirect: tuntest.ToLoopback}, Options{})
		if scarce {
			router.memory = mappingMemory
		}
		client := netip.AddrPortFrom(clientV4, 5353)
		most := 0
		for port := range uint16(2 * maxNames) {
			b := datagram(client, netip.AddrPortFrom(serverV4, 20000+port), nil)
			router.route(tuntest.Frame{Data: b})
			m := router.mappingAt(mappings.Key{Client: mappings.UDP(client), Local: loopbackV4})
			most = max(most, len(m.names))
			far := netip.AddrPortFrom(loopbackV4, 20000+port)
			if name, ok := m.nameOf(far); !ok || name.Addr() != serverV4 {
				t.Fatalf("the last far end is called %s", name)
			}
		}
		want, charge := maxNames, int64(mappingMemory+namesMemory)
		if scarce {
			want, charge = fewNames, mappingMemory
		}
		if n := router.charged.Load(); most != want || n != charge {
			t.Errorf("scarce %t: %d names, %d bytes, want %d and %d", scarce, most, n, want, charge)
		}
	}
}

// TestNothingIsLeft opens mappings that end in every way there is, and looks for leftovers: an
// entry in a map, a charge, a count, a socket.
func TestNothingIsLeft(t *testing.T) {
	t.Run("unrecorded", func(t *testing.T) {
		testNothingIsLeft(t, Options{}, func(*NAT) {}, func() bool { return true })
	})
	t.Run("on record", func(t *testing.T) {
		log := newTestLog(false)
		o := log.options(Options{})
		recorded := make(chan *tunflow.Datagram, 1<<16)
		var left atomic.Int64 // of these
		o.Opened = func(d *tunflow.Datagram) tunflow.Admission {
			left.Add(1)
			recorded <- d
			return log.open(d)
		}
		testNothingIsLeft(t, o, func(n *NAT) {
			for d := range recorded {
				n.Recorded(d)
				left.Add(-1)
			}
		}, func() bool { return left.Load() == 0 })
		close(recorded)
		log.ends(t)
		if n := log.endings(); n != len(log.all()) || n == 0 {
			t.Errorf("%d flows have ended of %d", n, len(log.all()))
		}
	})
}

// testNothingIsLeft runs record beside the NAT, until it has recorded all.
func testNothingIsLeft(t *testing.T, o Options, record func(*NAT), all func() bool) {
	t.Helper()
	batches := 20 // of some 500 mappings
	if testing.Short() {
		batches = 2
	}
	ns := tuntest.NewNamespace(t)
	ns.Sysctl("net.ipv4.ping_group_range", "0 2147483647")
	link, host := tuntest.NewPipe(1500)
	o.Limits = mappings.Limits{
		Mappings: 40, UDPTimeout: 100 * time.Millisecond, ICMPTimeout: 50 * time.Millisecond,
	}
	router := newRouter(t, link, dial.Options{Redirect: tuntest.ToLoopback}, o)
	router.host, router.memory = host, 30*mappingMemory
	router.run(t, ns.Do)
	go record(router.NAT)
	far := listenIn(ns, "127.0.0.1", "0")
	go func() { // answers every datagram
		b := make([]byte, 100)
		for {
			n, peer, err := far.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			_, _ = far.WriteToUDPAddrPort(b[:n], peer)
		}
	}()
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		for f, ok := host.Receive(patience); ok && string(f.Data) != "the end"; {
			f, ok = host.Receive(patience)
		}
	}()
	silent, closed := listenIn(ns, "127.0.0.1", "0"), uint16(9)
	none := netip.MustParseAddr("203.0.113.9") // no route
	sent := int64(0)
	send := func(b []byte) {
		router.host.MustSend(t, tuntest.Frame{Data: b})
		sent++
	}
	round := func(i int) {
		v4, v6 := clientV4, clientV6
		if i%2 == 1 { // of another source
			v4, v6 = clientV4.Next(), netip.MustParseAddr("2001:db8:9::1")
		}
		at := func(n int) uint16 { return uint16(1024 + (10*i+n)%60000) }
		from := func(n int) netip.AddrPort { return netip.AddrPortFrom(v4, at(n)) }
		for n, to := range []netip.AddrPort{
			netip.AddrPortFrom(serverV4, tuntest.PortOf(far)), netip.AddrPortFrom(serverV4, tuntest.PortOf(silent)),
			netip.AddrPortFrom(serverV4, closed), netip.AddrPortFrom(serverV4, inspect.PortDNS),
			netip.AddrPortFrom(none, 80),
		} {
			send(datagram(from(n), to, []byte("x")))
		}
		for n := range 3 {
			send(datagram(netip.AddrPortFrom(v6, at(n)), netip.AddrPortFrom(serverV6, closed), nil))
		}
		send(echo(v4, serverV4, byte(i), 1, nil).Packet())
		send(echo(v6, serverV6, byte(i), 1, nil).Packet())
	}
	awaitIdle := func() {
		t.Helper()
		tuntest.Wait(t, "idle mappings ended", func() bool {
			left := router.stats.UDP.Load() + router.stats.Echo.Load()
			return router.routed.Load() == sent && left == 0
		})
	}
	round(0)
	awaitIdle()
	before := tuntest.OpenSockets(t)
	for batch := range batches {
		for i := range 100 {
			round(100*batch + i)
		}
		awaitIdle()
	}
	if n := router.charges.Load(); n < int64(500*batches) {
		t.Errorf("only %d mappings were opened", n)
	}
	tuntest.Wait(t, "all sockets closed", func() bool { return tuntest.OpenSockets(t) <= before })
	if router.stats.Evicted.Load() == 0 || router.noMemory.Load()+router.stats.DropMappings.Load()+
		router.stats.DropPerSource.Load() == 0 {
		t.Error("no mapping has made room, or none was refused")
	}
	round(0) // for Close to end
	_ = router.WriteInbound(tun.Offload{}, [][]byte{[]byte("the end")})
	<-drained
	router.stop()
	tuntest.Wait(t, "all records", all)
	for _, left := range tuntest.Filled(router.NAT, "NAT", "syntap/stack/nat") {
		if !strings.Contains(left, ".known") { // routes of this host
			t.Errorf("%s are left", left)
		}
	}
}
