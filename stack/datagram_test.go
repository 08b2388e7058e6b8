//go:build linux

package stack

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"

	"syntap/stack/dial"
	"syntap/tun"
	"syntap/tun/packet"
	"syntap/tun/tuntest"
)

// wantNoAnswer fails the test if something has come to the client.
func (r *testRouter) wantNoAnswer(t *testing.T) {
	t.Helper()
	r.writeInbound(tun.Offload{}, []byte("the end"))
	for f := r.host.MustReceive(t); string(f.Data) != "the end"; f = r.host.MustReceive(t) {
		t.Errorf("answered: %x", f.Data)
	}
}

// fragments cuts a packet into fragments with size bytes of payload each, a multiple of 8.
func fragments(b []byte, size int) [][]byte {
	var h packet.Headers
	h.Parse(b, len(b))
	src, dst := h.Src(b), h.Dst(b)
	var all [][]byte
	for at, rest := 0, b[h.HeaderLen:]; len(rest) > 0; at += size {
		n := min(size, len(rest))
		more := n < len(rest)
		if h.Version == 6 { // a fragment header (RFC 8200 §4.5)
			header := []byte{h.Proto, 0, byte(at >> 8), byte(at), 0, 0, 0, 1}
			if more {
				header[3] |= 1
			}
			payload := slices.Concat(header, rest[:n])
			all = append(all, tuntest.IP{}.Packet(src, dst, packet.ProtoFragment, payload))
		} else {
			field := uint16(at / 8)
			if more {
				field |= 0x2000
			}
			all = append(all, tuntest.IP{ID: 1, Fragment: field}.Packet(src, dst, h.Proto, rest[:n]))
		}
		rest = rest[n:]
	}
	return all
}

var datagramFamilies = []struct {
	name           string
	client, server netip.Addr
	loopback       string
	echo           uint8
}{
	{"IPv4", clientV4, serverV4, "127.0.0.1:0", packet.ICMPEchoRequest},
	{"IPv6", clientV6, serverV6, "[::1]:0", packet.ICMPv6EchoRequest},
}

func TestFragmentsAreReassembled(t *testing.T) {
	for _, tt := range datagramFamilies {
		t.Run(tt.name, func(t *testing.T) {
			far := tuntest.ListenUDP(t, tt.loopback)
			router := startRouter(t, Options{}, dial.Policy{})
			want := randomBytes(5000)
			datagram := tuntest.UDP{
				Src: netip.AddrPortFrom(tt.client, 5353),
				Dst: netip.AddrPortFrom(tt.server, tuntest.PortOf(far)), Payload: want,
			}.Packet()
			pieces := fragments(datagram, 1448)
			slices.Reverse(pieces)
			for _, p := range pieces {
				router.host.MustSend(t, tuntest.Frame{Data: p})
			}
			got := make([]byte, 1<<16)
			if n, err := far.Read(got); err != nil || !bytes.Equal(got[:n], want) {
				t.Errorf("far end got %d bytes, %v, want the %d sent", n, err, len(want))
			}

			datagram[len(datagram)-1] ^= 1
			for _, p := range fragments(datagram, 1448) {
				router.host.MustSend(t, tuntest.Frame{Data: p})
			}
			tuntest.Wait(t, "wrong checksum dropped", func() bool {
				return router.stats.DropChecksum.Load() == 1
			})
		})
	}
}

// TestEchoFragmentsAreReassembled: the router does not answer them either.
func TestEchoFragmentsAreReassembled(t *testing.T) {
	ns := tuntest.NewNamespace(t)
	ns.Sysctl("net.ipv4.ping_group_range", "0 2147483647")
	link, host := tuntest.NewPipe(1500)
	s, err := New(link, dial.New(dial.Options{Redirect: tuntest.ToLoopback}), Options{})
	if err != nil {
		t.Fatal(err)
	}
	router := runRouter(t, s, host, ns.Do)
	for _, tt := range datagramFamilies {
		want := randomBytes(3000)
		request := tuntest.ICMP{Src: tt.client, Dst: tt.server, Type: tt.echo, Payload: want}
		for _, p := range fragments(request.Packet(), 1448) {
			router.host.MustSend(t, tuntest.Frame{Data: p})
		}
		if got := router.host.MustReceive(t).Data; !bytes.HasSuffix(got, want) {
			t.Errorf("%s: reply of %d bytes, want one with the payload sent", tt.name, len(got))
		}
		router.wantNoAnswer(t)
	}
}

func TestDatagramBehindExtensionHeader(t *testing.T) {
	far := tuntest.ListenUDP(t, "[::1]:0")
	router := startRouter(t, Options{}, dial.Policy{})
	datagram := tuntest.UDP{
		Src: netip.AddrPortFrom(clientV6, 5353), Dst: netip.AddrPortFrom(serverV6, tuntest.PortOf(far)),
		Payload: []byte("hello"),
	}.Packet()
	options := []byte{packet.ProtoUDP, 0, 1, 4, 0, 0, 0, 0} // with PadN alone (RFC 8200 §4.2)
	b := slices.Concat(options, datagram[packet.IPv6HeaderLen:])
	whole := tuntest.IP{}.Packet(clientV6, serverV6, packet.ProtoDestOpts, b)
	router.host.MustSend(t, tuntest.Frame{Data: whole})
	got := make([]byte, 100)
	if n, err := far.Read(got); err != nil || string(got[:n]) != "hello" {
		t.Errorf("far end got %q, %v", got[:n], err)
	}
}

// TestListenerReportIsIgnored: a host reports its multicast groups behind a router alert option.
func TestListenerReportIsIgnored(t *testing.T) {
	router := startRouter(t, Options{}, dial.Policy{})
	host, routers := netip.MustParseAddr("fe80::1"), netip.MustParseAddr("ff02::16")
	report := tuntest.ICMP{Src: host, Dst: routers, Type: 143}.Packet()
	alert := []byte{packet.ProtoICMPv6, 0, 5, 2, 0, 0, 1, 0} // RFC 2711 §2.1
	b := slices.Concat(alert, report[packet.IPv6HeaderLen:])
	whole := tuntest.IP{TTL: 1}.Packet(host, routers, packet.ProtoHopByHop, b)
	router.host.MustSend(t, tuntest.Frame{Data: whole})
	far := tuntest.ListenUDP(t, "127.0.0.1:0") // a later frame tells that it has been read
	client, server := netip.AddrPortFrom(clientV4, 5353), netip.AddrPortFrom(serverV4, tuntest.PortOf(far))
	router.host.Exchange(t, client, server, far)
	router.wantNoAnswer(t)
}

func TestChecksumIsVerified(t *testing.T) {
	router := startRouter(t, Options{}, dial.Policy{})
	for i, tt := range datagramFamilies {
		datagram := tuntest.UDP{
			Src: netip.AddrPortFrom(tt.client, 5353), Dst: netip.AddrPortFrom(tt.server, 53),
			Payload: randomBytes(2000),
		}
		request := tuntest.ICMP{Src: tt.client, Dst: tt.server, Type: tt.echo, Payload: []byte("x")}
		for _, b := range [][]byte{datagram.Packet(), request.Packet()} {
			b[len(b)-1] ^= 1
			router.host.MustSend(t, tuntest.Frame{Data: b})
		}
		tuntest.Wait(t, "both dropped", func() bool {
			return router.stats.DropChecksum.Load() == uint64(2*i+2)
		})
	}
	if n := router.stats.Datagrams.UDP.Load() + router.stats.Datagrams.Echo.Load(); n != 0 {
		t.Errorf("mappings: %d, want none", n)
	}
}

// FuzzRoute: a frame is counted once at most, and the answer to it is in order.
func FuzzRoute(f *testing.F) {
	for _, tt := range datagramFamilies {
		datagram := tuntest.UDP{
			Src: netip.AddrPortFrom(tt.client, 5353), Dst: netip.AddrPortFrom(tt.server, 53),
			Payload: make([]byte, 300),
		}.Packet()
		f.Add(datagram, uint8(0))
		f.Add(fragments(datagram, 104)[0], uint8(0))
		f.Add(tooBigAbout(datagram, 1300), uint8(tun.NeedsCsum))
	}
	link := &sink{}
	s, err := New(link, dial.New(dial.Options{Policy: dial.Policy{Deny: []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0"),
	}}}), Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { closeIdle(s) })
	f.Fuzz(func(t *testing.T, data []byte, flags uint8) {
		var h packet.Headers
		h.Parse(data[:min(len(data), tun.HeadSize)], len(data))
		if len(data) > tun.MaxFrame || h.Proto == packet.ProtoTCP {
			t.Skip()
		}
		count := func() (n uint64) {
			for _, drops := range s.stats.Drops() {
				n += drops
			}
			return n
		}
		before := count()
		link.last = nil
		f := tun.Frame{Head: data[:min(len(data), tun.HeadSize)]}
		f.Body = data[len(f.Head):]
		f.Fill(len(data), tun.Offload{Flags: tun.OffloadFlags(flags)})
		s.route(&f, false)
		if n := count() - before; n > 1 {
			t.Errorf("counted %d times", n)
		}
		if link.last != nil {
			if err := tuntest.VerifyChecksums(link.last); err != nil {
				t.Errorf("answer %x: %v", link.last, err)
			}
		}
	})
}

// sink is a link that takes every frame and keeps the last.
type sink struct {
	tun.Link
	last []byte // reused by the router
}

func (l *sink) MTU() int { return 1500 }
func (l *sink) WriteFrame(_ tun.Offload, bufs [][]byte) error {
	l.last = bufs[0]
	return nil
}

// closeIdle ends a Stack that was not run.
func closeIdle(s *Stack) {
	s.nat.Close()
	s.o.Host.Close()
	s.net.Close()
	s.net.Wait()
	_ = s.poller.Close()
}
