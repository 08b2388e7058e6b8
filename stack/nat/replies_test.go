//go:build linux

package nat

import (
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"syntap/stack/dial"
	"syntap/stack/nat/hostsock"
	"syntap/stack/nat/mappings"
	"syntap/stack/sockmem"
	"syntap/tun"
	"syntap/tun/tuntest"
)

// sink is a link that takes every frame and keeps the last.
type sink struct {
	tun.Link
	frames int
	bytes  int
	last   []byte // reused by the router
}

func (l *sink) Close() error { return nil }
func (l *sink) WriteFrame(_ tun.Offload, bufs [][]byte) error {
	l.frames++
	for _, b := range bufs {
		l.bytes += len(b)
		l.last = b
	}
	return nil
}

// opened returns the mapping of a client that sends a datagram to a port of the loopback, and the
// address that the far end there sees.
func (r *testRouter) opened(
	tb testing.TB, client netip.AddrPort, far int, port uint16,
) (m *mapping, seen netip.AddrPort) {
	tb.Helper()
	b := datagram(client, netip.AddrPortFrom(serverV4, port), []byte("question"))
	r.route(tuntest.Frame{Data: b})
	var msg hostsock.Msghdr
	await(tb, &msg, far)
	m = r.mappingAt(mappings.Key{Client: mappings.UDP(client), Local: loopbackV4})
	if m == nil {
		tb.Fatal("no mapping")
	}
	return m, msg.Peer.AddrPort()
}

// await receives the datagram that comes to a socket next. The kernel may deliver it a moment after
// it was sent.
func await(tb testing.TB, msg *hostsock.Msghdr, fd int) {
	tb.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		_, errno := msg.Receive(fd, make([]byte, 8), 0)
		if errno == 0 {
			return
		}
		if errno != unix.EAGAIN || time.Now().After(deadline) {
			tb.Fatal(errno)
		}
	}
}

// TestRepliesAreGathered: the datagrams that have come from one far end since the poller last read
// the socket are one frame, as far as they can be cut apart again.
func TestRepliesAreGathered(t *testing.T) {
	link, host := tuntest.NewPipe(1500)
	router := newRouter(t, link, dial.Options{Redirect: tuntest.ToLoopback}, Options{})
	router.host = host
	far, port := lonePeer(t)
	other, otherPort := lonePeer(t)
	client := netip.AddrPortFrom(clientV4, 5353)
	router.opened(t, client, other, otherPort) // else it might not send to the client
	m, peer := router.opened(t, client, far, port)
	var msg hostsock.Msghdr
	send := func(fd, size, segment int) {
		t.Helper()
		if errno := msg.Send(fd, peer, segment, randomBytes(size)); errno != 0 {
			t.Fatal(errno)
		}
	}
	fromFar := func(sizes ...int) {
		t.Helper()
		for _, size := range sizes {
			send(far, size, 0)
		}
	}
	fifty := slices.Repeat([]int{1200}, 50)
	for _, tt := range []struct {
		name string
		send func()
		want [][]int // lengths of the datagrams of each frame
	}{
		{"one", func() { fromFar(100) }, [][]int{{100}}},
		{"empty ones", func() { fromFar(0, 0) }, [][]int{{0}, {0}}},
		{"the last is shorter", func() { fromFar(100, 100, 40, 100) }, [][]int{
			{100, 100, 40}, {100},
		}},
		{"the next is longer", func() { fromFar(100, 101, 101) }, [][]int{{100}, {101, 101}}},
		{"an empty one between", func() { fromFar(100, 0, 100) }, [][]int{{100}, {0}, {100}}},
		{"of two far ends", func() {
			fromFar(100)
			send(other, 100, 0)
			send(other, 100, 0)
		}, [][]int{{100}, {100, 100}}},
		{"GSO packets", func() {
			send(far, 200, 100)
			send(far, 250, 100)
			fromFar(100)
		}, [][]int{{100, 100, 100, 100, 50}, {100}}},
		{"a GSO packet of shorter ones", func() {
			fromFar(500)
			send(far, 200, 100)
		}, [][]int{{500}, {100, 100}}},
		{"more than a frame holds", func() {
			send(far, 60000, 1200)
			send(far, 60000, 1200)
		}, [][]int{fifty, fifty}},
		{"long ones", func() { fromFar(60000, 60000) }, [][]int{{60000}, {60000}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.send()
			polls, before := 0, int32(0)
			tuntest.Wait(t, "the last of the datagrams", func() bool { // the loopback may take a moment
				if n := m.inQueue(); n != before || n == 0 {
					polls, before = 0, n
				}
				polls++
				return polls > 5
			})
			router.replies.ready(m, unix.EPOLLIN)
			var got [][]int
			_ = router.WriteInbound(tun.Offload{}, [][]byte{[]byte("the end")})
			for f := router.host.MustReceive(t); string(f.Data) != "the end"; f = router.host.MustReceive(t) {
				_, _, payloads := parseUDP(t, f)
				var lengths []int
				for _, p := range payloads {
					lengths = append(lengths, len(p))
				}
				got = append(got, lengths)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("frames (-want +got):\n%s", diff)
			}
		})
	}
}

// gate is a link that holds the first frame back until it is opened.
type gate struct {
	sink
	reached, open chan struct{}
	once          sync.Once
}

func (l *gate) WriteFrame(off tun.Offload, bufs [][]byte) error {
	l.once.Do(func() {
		close(l.reached)
		<-l.open
	})
	return l.sink.WriteFrame(off, bufs)
}

// TestTurn: a socket that brings more than its turn allows is read again, though nothing new comes.
func TestTurn(t *testing.T) {
	link := &gate{reached: make(chan struct{}), open: make(chan struct{})}
	router := newRouter(t, link, dial.Options{Redirect: tuntest.ToLoopback}, Options{})
	far, port := lonePeer(t)
	_, first := router.opened(t, netip.AddrPortFrom(clientV4, 5353), far, port)
	m, second := router.opened(t, netip.AddrPortFrom(clientV4, 5354), far, port)
	router.run(t, func(func() error) error { return os.ErrClosed })
	var msg hostsock.Msghdr
	if errno := msg.Send(far, first, 0, []byte("x")); errno != 0 {
		t.Fatal(errno)
	}
	<-link.reached // the poller waits in its turn for the first socket
	const sent = 3 * datagramsPerTurn
	for i := range sent {
		if errno := msg.Send(far, second, 0, randomBytes(1000+i%2)); errno != 0 { // no two alike
			t.Fatal(errno)
		}
	}
	tuntest.Wait(t, "datagrams in the queue", func() bool { return m.inQueue() > sent*1000 })
	close(link.open)
	tuntest.Wait(t, "an empty queue", func() bool { return m.inQueue() == 0 })
}

// inQueue returns the bytes in the socket's receive queue.
func (m *mapping) inQueue() int32 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return sockmem.Of(m.FD()).Received
}

// TestReceiveQueueOverflow: datagrams that find no room in the socket are counted, also those that
// it has not told of when it ends.
func TestReceiveQueueOverflow(t *testing.T) {
	for _, read := range []bool{true, false} {
		router := newRouter(t, &sink{}, dial.Options{Redirect: tuntest.ToLoopback}, Options{})
		far, port := lonePeer(t)
		m, peer := router.opened(t, netip.AddrPortFrom(clientV4, 5353), far, port)
		if err := unix.SetsockoptInt(m.FD(), unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<10); err != nil {
			t.Fatal(err)
		}
		var msg hostsock.Msghdr
		const sent = 40
		for range sent {
			if errno := msg.Send(far, peer, 0, randomBytes(1000)); errno != 0 {
				t.Fatal(errno)
			}
		}
		lost := uint64(0)
		tuntest.Wait(t, "the last of the drops", func() bool {
			before := lost
			lost = uint64(sockmem.Of(m.FD()).Drops)
			return lost > 0 && lost == before
		})
		if lost >= sent {
			t.Fatalf("the kernel has dropped %d of %d", lost, sent)
		}
		if read {
			router.replies.ready(m, unix.EPOLLIN)
			if errno := msg.Send(far, peer, 0, randomBytes(10)); errno != 0 { // which tells of them
				t.Fatal(errno)
			}
			tuntest.Wait(t, "drops that are counted", func() bool {
				router.replies.ready(m, unix.EPOLLIN)
				return router.stats.DropReceiveQueue.Load() > 0
			})
		} else {
			router.stop()
		}
		if n := router.stats.DropReceiveQueue.Load(); n != lost {
			t.Errorf("read %t: counted %d, want %d", read, n, lost)
		}
	}
}

// TestReplyOfOtherFamily: a datagram that cannot be put into a packet of the client's family is
// dropped.
func TestReplyOfOtherFamily(t *testing.T) {
	link := &sink{}
	mapped := netip.MustParseAddrPort("[2001:db8:2::1]:53")
	far, port := lonePeer(t)
	redirect := func(netip.AddrPort) (netip.AddrPort, bool) {
		return netip.AddrPortFrom(loopbackV4, port), true
	}
	router := newRouter(t, link, dial.Options{Redirect: redirect}, Options{
		OnHost: func(netip.Addr) bool { return false },
	})
	client := netip.AddrPortFrom(clientV6, 5353)
	router.route(tuntest.Frame{Data: datagram(client, mapped, []byte("question"))})
	m := router.mappingAt(mappings.Key{Client: mappings.UDP(client), Local: loopbackV4})
	var msg hostsock.Msghdr
	await(t, &msg, far)
	peer := msg.Peer.AddrPort()
	if errno := msg.Send(far, peer, 0, []byte("answer")); errno != 0 {
		t.Fatal(errno)
	}
	tuntest.Wait(t, "the answer under the client's name for the far end", func() bool {
		router.replies.ready(m, unix.EPOLLIN)
		return link.frames == 1
	})
	m.mu.Lock()
	m.names = nil // as after maxNames other destinations
	m.mu.Unlock()
	m.admitted, m.admittedAt = netip.AddrPortFrom(loopbackV4, port), router.table.Now()
	if errno := msg.Send(far, peer, 0, []byte("answer")); errno != 0 {
		t.Fatal(errno)
	}
	tuntest.Wait(t, "a datagram to be dropped", func() bool {
		router.replies.ready(m, unix.EPOLLIN)
		return router.stats.DropInbound.Load() > 0
	})
	if n := router.stats.DropInbound.Load(); n != 1 || link.frames != 1 {
		t.Errorf("%d frames, %d dropped, want 1 and 1", link.frames, n)
	}
}

func TestUDPAllocatesNothing(t *testing.T) {
	for _, recorded := range []bool{false, true} {
		log, o := newTestLog(true), Options{}
		if recorded {
			o = log.options(o)
		}
		link := &sink{}
		router := newRouter(t, link, dial.Options{Redirect: tuntest.ToLoopback}, o)
		log.nat = router.NAT
		testAllocations(t, router, link)
	}
}

func testAllocations(t *testing.T, router *testRouter, link *sink) {
	t.Helper()
	fd, port := lonePeer(t)
	client, server := netip.AddrPortFrom(clientV4, 5353), netip.AddrPortFrom(serverV4, port)
	m, peer := router.opened(t, client, fd, port)
	f := tuntest.Offloaded(datagram(client, server, make([]byte, 3000)), 1000)
	if n := testing.AllocsPerRun(100, func() { router.route(f) }); n != 0 {
		t.Errorf("a datagram outbound: %v allocations", n)
	}
	var msg hostsock.Msghdr
	buf := make([]byte, 4000)
	for n, errno := msg.Receive(fd, buf, 0); errno == 0; n, errno = msg.Receive(fd, buf, 0) {
		if n != 1000 {
			t.Fatalf("far end got a datagram of %d bytes", n)
		}
	}
	link.frames, link.bytes = 0, 0
	const runs = 100
	if n := testing.AllocsPerRun(runs, func() {
		if errno := msg.Send(fd, peer, 1000, buf[:3000]); errno != 0 {
			t.Fatal(errno)
		}
		before := link.frames
		for deadline := time.Now().Add(patience); link.frames == before; {
			router.replies.ready(m, unix.EPOLLIN)
			if time.Now().After(deadline) {
				t.Fatal("no frame")
			}
		}
	}); n != 0 {
		t.Errorf("a datagram inbound: %v allocations", n)
	}
	if want := (runs + 1) * 3028; link.frames != runs+1 || link.bytes != want {
		t.Errorf("%d frames, %d bytes, want %d and %d", link.frames, link.bytes, runs+1, want)
	}
}

func BenchmarkUDP(b *testing.B) {
	for _, bm := range []struct {
		name          string
		size, segment int
		recorded      bool
	}{
		{"datagram", 1200, 0, false},
		{"datagram on record", 1200, 0, true},
		{"GSO packet", 48000, 1200, false},
		{"GSO packet on record", 48000, 1200, true},
	} {
		log, o := newTestLog(true), Options{}
		if bm.recorded {
			o = log.options(o)
		}
		router := newRouter(b, &sink{}, dial.Options{Redirect: tuntest.ToLoopback}, o)
		log.nat = router.NAT
		fd, port := lonePeer(b)
		client, server := netip.AddrPortFrom(clientV4, 5353), netip.AddrPortFrom(serverV4, port)
		m, peer := router.opened(b, client, fd, port)
		f := tuntest.Offloaded(datagram(client, server, make([]byte, bm.size)), uint16(bm.segment))
		b.Run("outbound "+bm.name, func(b *testing.B) {
			b.SetBytes(int64(bm.size))
			b.ReportAllocs()
			for b.Loop() {
				router.route(f)
			}
		})
		var msg hostsock.Msghdr
		buf := make([]byte, 1<<16)
		b.Run("inbound "+bm.name, func(b *testing.B) {
			b.SetBytes(int64(bm.size))
			b.ReportAllocs()
			for b.Loop() {
				msg.Send(fd, peer, bm.segment, buf[:bm.size])
				router.replies.ready(m, unix.EPOLLIN)
			}
		})
	}
}
