//go:build linux

package stack

import (
	"net/netip"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"syntap/stack/dial"
	"syntap/tun"
	"syntap/tun/tuntest"
)

// fragments cuts a packet into fragments with size bytes of payload each, a multiple of 8.
func fragments(packet []byte, size int) [][]byte {
	var ip ipHeader
	ip.parse(packet, len(packet))
	src, dst := ip.srcAddr(packet), ip.dstAddr(packet)
	var all [][]byte
	for at, rest := 0, packet[ip.len:]; len(rest) > 0; at += size {
		n := min(size, len(rest))
		more := n < len(rest)
		if ip.v6 { // a fragment header (RFC 8200 §4.5)
			h := []byte{ip.proto, 0, byte(at >> 8), byte(at), 0, 0, 0, 1}
			if more {
				h[3] |= 1
			}
			all = append(all, tuntest.IP{}.Packet(src, dst, 44, slices.Concat(h, rest[:n])))
		} else {
			field := uint16(at / 8)
			if more {
				field |= 0x2000
			}
			all = append(all, tuntest.IP{ID: 1, Fragment: field}.Packet(src, dst, ip.proto, rest[:n]))
		}
		rest = rest[n:]
	}
	return all
}

func TestUDPFragmentsAreReassembled(t *testing.T) {
	udpFamilies(t, func(t *testing.T, clientAddr, serverAddr netip.Addr, loopback string) {
		far := listenUDP(t, loopback)
		router := startRouter(t, Options{}, dial.Policy{})
		want := randomBytes(5000)
		packet := tuntest.UDP{Src: netip.AddrPortFrom(clientAddr, 5353), Dst: netip.AddrPortFrom(serverAddr, portOf(far)), Payload: want}.Packet()
		pieces := fragments(packet, 1448)
		slices.Reverse(pieces)
		for _, p := range pieces {
			router.send(t, tuntest.Frame{Data: p})
		}
		wantDatagrams(t, far, want, len(want))

		packet[len(packet)-1] ^= 1
		for _, p := range fragments(packet, 1448) {
			router.send(t, tuntest.Frame{Data: p})
		}
		eventually(t, "wrong checksum dropped", func() bool { return router.stats.DropChecksum.Load() == 1 })
	})
}

func TestUDPBehindExtensionHeader(t *testing.T) {
	far := listenUDP(t, "[::1]:0")
	router := startRouter(t, Options{}, dial.Policy{})
	packet := tuntest.UDP{Src: netip.AddrPortFrom(clientV6, 5353), Dst: netip.AddrPortFrom(serverV6, portOf(far)), Payload: []byte("hello")}.Packet()
	destinationOptions := []byte{protoUDP, 0, 1, 4, 0, 0, 0, 0} // with PadN alone (RFC 8200 §4.2)
	router.send(t, tuntest.Frame{Data: tuntest.IP{}.Packet(clientV6, serverV6, 60, slices.Concat(destinationOptions, packet[40:]))})
	wantDatagrams(t, far, []byte("hello"), 5)
}

// sink is a link that takes everything and keeps nothing.
type sink struct {
	tun.Link
	frames int
	bytes  int
	last   []byte // reused by the router
}

func (l *sink) MTU() int { return 1500 }
func (l *sink) WriteFrame(_ tun.Offload, bufs [][]byte) error {
	l.frames++
	for _, b := range bufs {
		l.bytes += len(b)
		l.last = b
	}
	return nil
}

// idleStack returns a Stack that nobody runs: the test does what the read loop and the poller
// would.
func idleStack(tb testing.TB, o Options) (*Stack, *sink) {
	tb.Helper()
	link := &sink{}
	s, err := New(link, dial.New(dial.Options{Redirect: toLoopback}), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { closeIdle(s) })
	return s, link
}

func closeIdle(s *Stack) {
	s.nat.close()
	s.o.Host.Close()
	s.net.Close()
	s.net.Wait()
	_ = s.poller.Close()
}

func frameOf(f tuntest.Frame) *frame {
	n := min(len(f.Data), tun.HeadSize)
	return &frame{head: f.Data[:n], body: f.Data[n:], off: f.Offload}
}

// lonePeer opens a UDP socket on the loopback that is read without allocation, by drain.
func lonePeer(tb testing.TB) (fd int, port uint16) {
	tb.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		tb.Fatal(err)
	}
	return fd, dial.LocalAddr(fd).Port()
}

// What has come from one far end since the poller last looked is one frame, as far as it can be cut
// apart again.
func TestUDPRepliesAreGathered(t *testing.T) {
	link, host := tuntest.NewPipe(1500)
	s, err := New(link, dial.New(dial.Options{Redirect: toLoopback}), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeIdle(s) })
	far, port := lonePeer(t)
	other, otherPort := lonePeer(t)
	client := netip.AddrPortFrom(clientV4, 5353)
	for _, p := range []uint16{otherPort, port} { // or they might not send to it
		s.route(frameOf(tuntest.Frame{Data: tuntest.UDP{Src: client, Dst: netip.AddrPortFrom(serverV4, p)}.Packet()}))
	}
	m := s.nat.table.byKey[mappingKey{client: client, local: netip.MustParseAddr("127.0.0.1")}]
	var msg message
	if _, errno := msg.receive(far, make([]byte, 1), 0); errno != 0 {
		t.Fatal(errno)
	}
	peer := msg.peer.AddrPort()
	send := func(fd, size, segment int) {
		t.Helper()
		if errno := msg.send(fd, peer, segment, randomBytes(size)); errno != 0 {
			t.Fatal(errno)
		}
	}
	for _, tt := range []struct {
		name string
		send func()
		want [][]int // lengths of the datagrams of each frame
	}{
		{"one", func() { send(far, 100, 0) }, [][]int{{100}}},
		{"empty ones", func() { send(far, 0, 0); send(far, 0, 0) }, [][]int{{0}, {0}}},
		{"the last is shorter", func() { send(far, 100, 0); send(far, 100, 0); send(far, 40, 0); send(far, 100, 0) }, [][]int{{100, 100, 40}, {100}}},
		{"the next is longer", func() { send(far, 100, 0); send(far, 101, 0); send(far, 101, 0) }, [][]int{{100}, {101, 101}}},
		{"an empty one between", func() { send(far, 100, 0); send(far, 0, 0); send(far, 100, 0) }, [][]int{{100}, {0}, {100}}},
		{"of two far ends", func() { send(far, 100, 0); send(other, 100, 0); send(other, 100, 0) }, [][]int{{100}, {100, 100}}},
		{"super-frames", func() { send(far, 200, 100); send(far, 250, 100); send(far, 100, 0) }, [][]int{{100, 100, 100, 100, 50}, {100}}},
		{"a super-frame of shorter ones", func() { send(far, 500, 0); send(far, 200, 100) }, [][]int{{500}, {100, 100}}},
		{"more than a frame holds", func() { send(far, 60000, 1200); send(far, 60000, 1200) }, [][]int{slices.Repeat([]int{1200}, 50), slices.Repeat([]int{1200}, 50)}},
		{"long ones", func() { send(far, 60000, 0); send(far, 60000, 0) }, [][]int{{60000}, {60000}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.send()
			m.ready(unix.EPOLLIN)
			var got [][]int
			s.writeInbound(tun.Offload{}, []byte("the end"))
			for f, _ := host.Receive(patience); string(f.Data) != "the end"; f, _ = host.Receive(patience) {
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

func TestUDPAllocatesNothing(t *testing.T) {
	s, link := idleStack(t, Options{})
	fd, port := lonePeer(t)
	client, server := netip.AddrPortFrom(clientV4, 5353), netip.AddrPortFrom(serverV4, port)
	f := frameOf(tuntest.Offloaded(tuntest.UDP{Src: client, Dst: server, Payload: make([]byte, 3000)}.Packet(), 1000))
	s.route(f)
	m := s.nat.table.byKey[mappingKey{client: client, local: netip.MustParseAddr("127.0.0.1")}]
	if m == nil {
		t.Fatal("no mapping")
	}
	var msg message
	buf := make([]byte, 4000)
	if n, errno := msg.receive(fd, buf, 0); n != 1000 {
		t.Fatalf("far end got %d bytes, %v", n, errno)
	}
	peer := msg.peer.AddrPort()
	if n := testing.AllocsPerRun(100, func() { s.route(f) }); n != 0 {
		t.Errorf("a datagram outbound: %v allocations", n)
	}
	for n, errno := msg.receive(fd, buf, 0); errno == 0; n, errno = msg.receive(fd, buf, 0) {
		if n != 1000 {
			t.Fatalf("far end got a datagram of %d bytes", n)
		}
	}
	link.frames, link.bytes = 0, 0
	const runs = 100
	if n := testing.AllocsPerRun(runs, func() {
		if errno := msg.send(fd, peer, 1000, buf[:3000]); errno != 0 {
			t.Fatal(errno)
		}
		m.ready(unix.EPOLLIN)
	}); n != 0 {
		t.Errorf("a datagram inbound: %v allocations", n)
	}
	if want := (runs + 1) * 3028; link.frames != runs+1 || link.bytes != want {
		t.Errorf("client got %d frames, %d bytes; want %d, %d", link.frames, link.bytes, runs+1, want)
	}
}

func BenchmarkUDP(b *testing.B) {
	for _, bm := range []struct {
		name          string
		size, segment int
	}{{"datagram", 1200, 0}, {"super-frame", 48000, 1200}} {
		s, _ := idleStack(b, Options{})
		fd, port := lonePeer(b)
		client := netip.AddrPortFrom(clientV4, 5353)
		f := frameOf(tuntest.Offloaded(tuntest.UDP{Src: client, Dst: netip.AddrPortFrom(serverV4, port), Payload: make([]byte, bm.size)}.Packet(), uint16(bm.segment)))
		s.route(f)
		m := s.nat.table.byKey[mappingKey{client: client, local: netip.MustParseAddr("127.0.0.1")}]
		var msg message
		buf := make([]byte, 1<<16)
		if _, errno := msg.receive(fd, buf, 0); errno != 0 {
			b.Fatal(errno)
		}
		peer := msg.peer.AddrPort()
		b.Run("outbound "+bm.name, func(b *testing.B) {
			b.SetBytes(int64(bm.size))
			b.ReportAllocs()
			for b.Loop() {
				s.route(f)
			}
		})
		b.Run("inbound "+bm.name, func(b *testing.B) {
			b.SetBytes(int64(bm.size))
			b.ReportAllocs()
			for b.Loop() {
				msg.send(fd, peer, bm.segment, buf[:bm.size])
				m.ready(unix.EPOLLIN)
			}
		})
	}
}

// Whatever a frame looks like, it is counted once at most, and what we answer is in order.
func FuzzRoute(f *testing.F) {
	v4, v6 := netip.AddrPortFrom(clientV4, 5353), netip.AddrPortFrom(clientV6, 5353)
	server4, server6 := netip.AddrPortFrom(serverV4, 53), netip.AddrPortFrom(serverV6, 53)
	f.Add(tuntest.UDP{Src: v4, Dst: server4, Payload: []byte("hello")}.Packet(), uint8(0), uint8(0), uint16(0))
	f.Add(tuntest.UDP{Src: v6, Dst: server6, Payload: make([]byte, 300)}.Packet(), uint8(tun.NeedsCsum), uint8(tun.GSOUDP), uint16(100))
	f.Add(tuntest.UDP{Src: v4, Dst: netip.MustParseAddrPort("203.0.113.9:53")}.Packet(), uint8(tun.NeedsCsum), uint8(0), uint16(0))
	f.Add(tuntest.UDP{Src: v6, Dst: netip.MustParseAddrPort("[2001:db8:3::9]:53")}.Packet(), uint8(tun.NeedsCsum), uint8(0), uint16(0))
	f.Add(echo(clientV4, serverV4, 1, 1, []byte("hello")).Packet(), uint8(0), uint8(0), uint16(0))
	f.Add(echo(clientV6, serverV6, 1, 1, []byte("hello")).Packet(), uint8(0), uint8(0), uint16(0))
	f.Add(tuntest.IP{Options: []byte{1, 1, 1, 1}}.Packet(clientV4, serverV4, protoUDP, nil), uint8(0), uint8(0), uint16(0))
	trailed := append(tuntest.IP{}.Packet(clientV6, serverV6, protoUDP, nil), make([]byte, 64)...)
	f.Add(trailed, uint8(tun.NeedsCsum), uint8(tun.GSOUDP), uint16(100))

	fd, port := lonePeer(f)
	var msg message
	buf := make([]byte, 1<<16)
	link := &sink{}
	s, err := New(link, dial.New(dial.Options{
		Policy: dial.Policy{Deny: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}},
		Redirect: func(dst netip.AddrPort) (netip.AddrPort, bool) {
			to, ok := toLoopback(dst)
			return netip.AddrPortFrom(to.Addr(), port), ok
		},
	}), Options{UDPFlows: 8})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { closeIdle(s) })
	drops := []*atomic.Uint64{
		&s.stats.DropChecksum, &s.stats.DropMalformed, &s.stats.DropUDPFlows, &s.stats.DropUDPPerSource, &s.stats.DropOwnSocket, &s.stats.DropUDPSend, &s.stats.DropDenied, &s.stats.DropLinkScope, &s.stats.DropICMP,
	}
	f.Fuzz(func(t *testing.T, data []byte, flags, gso uint8, gsoSize uint16) {
		var ip ipHeader
		if len(data) > tun.MaxFrame || ip.parse(data, len(data)) && ip.proto == protoTCP {
			t.Skip()
		}
		count := func() (n uint64) {
			for _, d := range drops {
				n += d.Load()
			}
			return n
		}
		before := count()
		link.last = nil
		s.route(frameOf(tuntest.Frame{Data: data, Offload: tun.Offload{Flags: tun.OffloadFlags(flags), GSO: tun.GSOType(gso), GSOSize: gsoSize}}))
		if n := count() - before; n > 1 {
			t.Errorf("counted %d times", n)
		}
		if link.last != nil {
			if err := tuntest.VerifyChecksums(link.last); err != nil {
				t.Errorf("answer %x: %v", link.last, err)
			}
		}
		for errno := syscall.Errno(0); errno == 0; {
			_, errno = msg.receive(fd, buf, 0)
		}
	})
}
