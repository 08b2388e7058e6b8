//go:build linux

package nat

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"syntap/stack/dial"
	"syntap/tun"
	"syntap/tun/packet"
	"syntap/tun/tuntest"
)

// datagram returns a UDP packet.
func datagram(src, dst netip.AddrPort, payload []byte) []byte {
	return tuntest.UDP{Src: src, Dst: dst, Payload: payload}.Packet()
}

func TestUDPRoundTrip(t *testing.T) {
	udpFamilies(t, func(t *testing.T, clientAddr, serverAddr netip.Addr, loopback string) {
		far := tuntest.ListenUDP(t, loopback)
		router := startRouter(t, Options{}, dial.Policy{})
		client := netip.AddrPortFrom(clientAddr, 5353)
		server := netip.AddrPortFrom(serverAddr, tuntest.PortOf(far))
		for _, size := range []int{0, 1, 80, 100, 1472, 4000, 65000} {
			want := randomBytes(size)
			router.host.MustSend(t, tuntest.Frame{Data: datagram(client, server, want)})
			b := make([]byte, 1<<16)
			n, peer, err := far.ReadFromUDPAddrPort(b)
			if err != nil || !bytes.Equal(b[:n], want) {
				t.Fatalf("far end got %d bytes, %v, want the %d sent", n, err, size)
			}
			if _, err := far.WriteToUDPAddrPort(b[:n], peer); err != nil {
				t.Fatal(err)
			}
			from, to, got := router.receiveUDP(t)
			if from != server || to != client || len(got) != 1 || !bytes.Equal(got[0], want) {
				t.Errorf("%d bytes: %d datagrams came from %s to %s", size, len(got), from, to)
			}
		}
		if n := router.stats.UDP.Load(); n != 1 {
			t.Errorf("mappings: %d, want 1", n)
		}
		router.stop()
		if n := router.stats.UDP.Load(); n != 0 {
			t.Errorf("mappings after the end: %d", n)
		}
	})
}

func TestGSOOutbound(t *testing.T) {
	udpFamilies(t, func(t *testing.T, client, server netip.Addr, loopback string) {
		far := tuntest.ListenUDP(t, loopback)
		router := startRouter(t, Options{}, dial.Policy{})
		want := randomBytes(40*1200 + 7)
		src, dst := netip.AddrPortFrom(client, 5353), netip.AddrPortFrom(server, tuntest.PortOf(far))
		b := datagram(src, dst, want)
		router.host.MustSend(t, tuntest.Offloaded(b, 1200))
		wantDatagrams(t, far, want, 1200)
	})
}

// wantDatagrams reads want in datagrams of a given size.
func wantDatagrams(t *testing.T, far *net.UDPConn, want []byte, size int) {
	t.Helper()
	b := make([]byte, 1<<16)
	for piece := range slices.Chunk(want, size) {
		n, _, err := far.ReadFromUDPAddrPort(b)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b[:n], piece) {
			t.Fatalf("a datagram of %d bytes, want another of %d", n, len(piece))
		}
	}
}

// TestGSOBeyondPathMTU has a path whose packets are smaller than the client's: the kernel refuses
// to cut GSO packets so.
func TestGSOBeyondPathMTU(t *testing.T) {
	ns := tuntest.NewNamespace(t)
	if err := ns.Netlink.LinkSetMTU(ns.Link("lo"), 1280); err != nil {
		t.Fatal(err)
	}
	router := routerIn(t, ns, true, dial.Options{Redirect: tuntest.ToLoopback})
	far := listenIn(ns, "127.0.0.1", "0")
	client, server := netip.AddrPortFrom(clientV4, 5353), netip.AddrPortFrom(serverV4, tuntest.PortOf(far))
	for range 2 {
		want := randomBytes(4*1400 + 7)
		router.host.MustSend(t, tuntest.Offloaded(datagram(client, server, want), 1400))
		wantDatagrams(t, far, want, 1400)
	}
}

func TestGSOInbound(t *testing.T) {
	udpFamilies(t, func(t *testing.T, clientAddr, serverAddr netip.Addr, loopback string) {
		far := tuntest.ListenUDP(t, loopback)
		router := startRouter(t, Options{}, dial.Policy{})
		server := netip.AddrPortFrom(serverAddr, tuntest.PortOf(far))
		seen := router.host.Exchange(t, netip.AddrPortFrom(clientAddr, 5353), server, far)
		want := randomBytes(40*1200 + 7)
		sendGSO(t, far, seen, want, 1200)

		from, _, got := router.receiveUDP(t)
		if from != server || len(got) != 41 || !bytes.Equal(slices.Concat(got...), want) {
			t.Errorf("a frame of %d datagrams from %s, want 41 from %s", len(got), from, server)
		}
	})
}

// sendGSO has the kernel cut a payload into datagrams of a given size.
func sendGSO(t *testing.T, c *net.UDPConn, to netip.AddrPort, payload []byte, size uint16) {
	t.Helper()
	control := make([]byte, unix.CmsgSpace(2))
	binary.NativeEndian.PutUint32(control[8:], unix.SOL_UDP)
	binary.NativeEndian.PutUint32(control[12:], unix.UDP_SEGMENT)
	binary.NativeEndian.PutUint64(control, uint64(unix.CmsgLen(2)))
	binary.NativeEndian.PutUint16(control[16:], size)
	if _, _, err := c.WriteMsgUDPAddrPort(payload, control, to); err != nil {
		t.Fatal(err)
	}
}

// TestGSOInboundOfLongDatagrams: datagrams longer than the link's packets go one by one, and
// without DF, since a host that forwards them may have to fragment.
func TestGSOInboundOfLongDatagrams(t *testing.T) {
	far := tuntest.ListenUDP(t, "127.0.0.1:0")
	router := startRouter(t, Options{}, dial.Policy{})
	client, server := netip.AddrPortFrom(clientV4, 5353), netip.AddrPortFrom(serverV4, tuntest.PortOf(far))
	seen := router.host.Exchange(t, client, server, far)
	sendGSO(t, far, seen, randomBytes(3500), 2000)
	ids := map[uint16]bool{}
	for _, want := range []int{2000, 1500} {
		f := router.host.MustReceive(t)
		if _, _, got := parseUDP(t, f); len(got) != 1 || len(got[0]) != want {
			t.Fatalf("%d datagrams, want one of %d bytes", len(got), want)
		}
		if f.Data[6]&0x40 != 0 {
			t.Error("DF is set")
		}
		ids[binary.BigEndian.Uint16(f.Data[4:])] = true
	}
	if len(ids) != 2 {
		t.Errorf("identifications: %v, want two", ids)
	}
}

// withoutUSO is a link of a kernel that does not cut UDP.
type withoutUSO struct{ tun.Link }

func (l withoutUSO) WriteFrame(off tun.Offload, bufs [][]byte) error {
	if off.GSO == tun.GSOUDP {
		return fmt.Errorf("write TUN: %w", unix.EINVAL)
	}
	return l.Link.WriteFrame(off, bufs)
}

func TestGSOInboundWithoutUSO(t *testing.T) {
	udpFamilies(t, func(t *testing.T, client, server netip.Addr, loopback string) {
		far := tuntest.ListenUDP(t, loopback)
		link, host := tuntest.NewPipe(1500)
		router := newRouter(t, withoutUSO{link}, dial.Options{Redirect: tuntest.ToLoopback}, Options{})
		router.host = host
		router.run(t, func(f func() error) error { return f() })
		seen := router.host.Exchange(t,
			netip.AddrPortFrom(client, 5353), netip.AddrPortFrom(server, tuntest.PortOf(far)), far)
		want := randomBytes(40*1200 + 7)
		sendGSO(t, far, seen, want, 1200)
		for piece := range slices.Chunk(want, 1200) {
			if _, _, got := router.receiveUDP(t); len(got) != 1 || !bytes.Equal(got[0], piece) {
				t.Fatalf("%d datagrams, want one of %d bytes", len(got), len(piece))
			}
		}
	})
}

// TestNarrowClientPath has a client whose path takes 1400 bytes. IPv6 datagrams come to it in
// fragments; IPv4 routers fragment by themselves.
func TestNarrowClientPath(t *testing.T) {
	for _, gso := range []bool{false, true} {
		far := tuntest.ListenUDP(t, "[::1]:0")
		link, host := tuntest.NewPipe(1500)
		router := newRouter(t, link, dial.Options{Redirect: tuntest.ToLoopback}, Options{})
		router.host, router.clientMTU = host, 1400
		router.run(t, func(f func() error) error { return f() })
		seen := router.host.Exchange(t,
			netip.AddrPortFrom(clientV6, 5353), netip.AddrPortFrom(serverV6, tuntest.PortOf(far)), far)
		sent := randomBytes(2 * 1353) // one byte too many in each
		if gso {
			sendGSO(t, far, seen, sent, 1353)
		} else {
			for piece := range slices.Chunk(sent, 1353) {
				if _, err := far.WriteToUDPAddrPort(piece, seen); err != nil {
					t.Fatal(err)
				}
			}
		}
		for i := range 2 {
			first := router.host.MustReceive(t).Data
			got := reassemble(t, 1400, first, router.host.MustReceive(t).Data)
			if !bytes.Equal(got[48:], sent[i*1353:][:1353]) {
				t.Errorf("GSO %t: datagram %d came as another", gso, i)
			}
			if err := tuntest.VerifyChecksums(got); err != nil {
				t.Error(err)
			}
		}
	}
}

// reassemble puts the fragments of an IPv6 packet together, which come in order.
func reassemble(t *testing.T, mtu int, fragments ...[]byte) []byte {
	t.Helper()
	b := bytes.Clone(fragments[0][:packet.IPv6HeaderLen])
	b[6] = fragments[0][packet.IPv6HeaderLen]
	for i, f := range fragments {
		h := f[40:48]
		more := i < len(fragments)-1
		offset := binary.BigEndian.Uint16(h[2:])
		if len(f) > mtu || f[6] != packet.ProtoFragment || int(offset&^7) != len(b)-40 ||
			offset&1 == 1 != more {
			t.Fatalf("fragment %d of %d bytes has the header % x", i, len(f), h)
		}
		if !bytes.Equal(h[4:], fragments[0][44:48]) {
			t.Fatal("fragments with different identifications")
		}
		b = append(b, f[48:]...)
	}
	binary.BigEndian.PutUint16(b[4:], uint16(len(b)-packet.IPv6HeaderLen))
	return b
}

func TestMalformedUDPIsDropped(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(f *tuntest.Frame)
	}{
		{"length below the header's", func(f *tuntest.Frame) {
			binary.BigEndian.PutUint16(f.Data[24:], 7)
		}},
		{"length beyond the packet", func(f *tuntest.Frame) {
			binary.BigEndian.PutUint16(f.Data[24:], 2009)
		}},
		{"half a header", func(f *tuntest.Frame) {
			binary.BigEndian.PutUint16(f.Data[2:], 24)
			f.Data = f.Data[:24]
		}},
		{"GSO packet with segments of 0 bytes", func(f *tuntest.Frame) {
			f.Offload.GSO = tun.GSOUDP
		}},
		{"GSO packet of too many", func(f *tuntest.Frame) {
			f.Offload.GSO, f.Offload.GSOSize = tun.GSOUDP, 15
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			router := newRouter(t, &sink{}, dial.Options{Redirect: tuntest.ToLoopback}, Options{})
			client, server := netip.AddrPortFrom(clientV4, 5353), netip.AddrPortFrom(serverV4, 53)
			f := tuntest.Offloaded(datagram(client, server, make([]byte, 2000)), 0)
			tt.change(&f)
			router.route(f)
			if n := router.stats.DropMalformed.Load(); n != 1 {
				t.Errorf("dropped %d, want 1", n)
			}
			if n := router.stats.UDP.Load(); n != 0 {
				t.Errorf("mappings: %d, want none", n)
			}
		})
	}
}

// TestHasSent: an ICMP error may concern a packet that was sent to the client, from the far end
// that it quotes, and no longer than that.
func TestHasSent(t *testing.T) {
	udpFamilies(t, func(t *testing.T, clientAddr, serverAddr netip.Addr, loopback string) {
		far, other := tuntest.ListenUDP(t, loopback), tuntest.ListenUDP(t, loopback)
		router := startRouter(t, Options{}, dial.Policy{})
		client := netip.AddrPortFrom(clientAddr, 5353)
		server := netip.AddrPortFrom(serverAddr, tuntest.PortOf(far))
		stranger := netip.AddrPortFrom(serverAddr, tuntest.PortOf(other))
		router.host.Exchange(t, client, stranger, other)
		seen := router.host.Exchange(t, client, server, far)
		for _, size := range []int{400, 1400, 1300} {
			if _, err := far.WriteToUDPAddrPort(randomBytes(size), seen); err != nil {
				t.Fatal(err)
			}
			router.receiveUDP(t)
		}
		longest := packet.HeaderLen(clientAddr) + packet.UDPHeaderLen + 1400
		for _, tt := range []struct {
			from, client netip.AddrPort
			echo         bool
			size         int
			want         bool
		}{
			{server, client, false, longest, true},
			{server, client, false, longest - 100, true},
			{server, client, false, longest + 1, false},
			{stranger, client, false, longest, false},
			{server, netip.AddrPortFrom(clientAddr, 5354), false, longest, false},
			{server, client, true, longest, false},
		} {
			if got := router.HasSent(tt.from, tt.client, tt.echo, tt.size); got != tt.want {
				t.Errorf("HasSent(%s, %s, %t, %d) = %t", tt.from, tt.client, tt.echo, tt.size, got)
			}
		}
	})
}

// TestHasSentEcho: of an echo reply, the identifier stands in for the client's port.
func TestHasSentEcho(t *testing.T) {
	ns := tuntest.NewNamespace(t)
	router := routerIn(t, ns, true, dial.Options{Redirect: tuntest.ToLoopback})
	router.host.MustSend(t, tuntest.Frame{Data: echo(clientV4, serverV4, 1, 1, randomBytes(1400)).Packet()})
	reply := router.host.MustReceive(t).Data
	client, server := netip.AddrPortFrom(clientV4, 0x1201), netip.AddrPortFrom(serverV4, 0)
	if !router.HasSent(server, client, true, len(reply)) {
		t.Error("the reply is not remembered")
	}
	if router.HasSent(server, client, false, len(reply)) {
		t.Error("the reply counts as a datagram")
	}
}
