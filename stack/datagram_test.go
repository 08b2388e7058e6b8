//go:build linux

package stack

import (
	"net/netip"
	"slices"
	"testing"

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
}

func (l *sink) MTU() int { return 1500 }
func (l *sink) WriteFrame(_ tun.Offload, bufs [][]byte) error {
	l.frames++
	for _, b := range bufs {
		l.bytes += len(b)
	}
	return nil
}

// idleStack returns a Stack that nobody runs: the test does what the read loop and the poller would.
func idleStack(tb testing.TB, o Options) (*Stack, *sink) {
	tb.Helper()
	link := &sink{}
	s, err := New(link, dial.New(dial.Options{Redirect: toLoopback}), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		s.nat.close()
		s.net.Close()
		s.net.Wait()
		_ = s.poller.close()
	})
	return s, link
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

func TestUDPAllocatesNothing(t *testing.T) {
	s, link := idleStack(t, Options{})
	fd, port := lonePeer(t)
	client, server := netip.AddrPortFrom(clientV4, 5353), netip.AddrPortFrom(serverV4, port)
	f := frameOf(tuntest.Offloaded(tuntest.UDP{Src: client, Dst: server, Payload: make([]byte, 3000)}.Packet(), 1000))
	s.route(f)
	m := s.nat.byKey[mappingKey{client: client}]
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
		m.ready(unix.EPOLLIN, nil)
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
		m := s.nat.byKey[mappingKey{client: client}]
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
				m.ready(unix.EPOLLIN, nil)
			}
		})
	}
}
