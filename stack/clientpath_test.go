//go:build linux

package stack

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"testing"

	"syntap/stack/dial"
	"syntap/tun"
	"syntap/tun/packet"
	"syntap/tun/tuntest"
)

// narrowRoute has every client behind a link of 1400 bytes.
func narrowRoute(netip.Addr) packet.MTU { return 1400 }

// tooBigAbout returns the ICMP error of a router that could not pass a packet on.
func tooBigAbout(about []byte, mtu uint16) []byte {
	var h packet.Headers
	h.Parse(about, packet.AnyLength)
	m := tuntest.ICMP{
		Src: netip.MustParseAddr("192.0.2.99"), Dst: h.Src(about), Type: 3, Code: 4,
		Payload: about[:min(len(about), 60)],
	}
	if h.Version == 6 {
		m.Src, m.Type, m.Code = netip.MustParseAddr("2001:db8::99"), packet.ICMPv6PacketTooBig, 0
	}
	binary.BigEndian.PutUint16(m.Rest[2:], mtu)
	return m.Packet()
}

// dialByHand opens a connection of a client without a stack, and returns the SYN-ACK.
func (r *testRouter) dialByHand(t *testing.T, syn tuntest.TCP) tuntest.TCP {
	t.Helper()
	r.host.MustSend(t, tuntest.Frame{Data: syn.Packet()})
	f := r.host.MustReceive(t)
	var h packet.Headers
	if h.Parse(f.Data, len(f.Data)); h.Flags != tuntest.SYN|tuntest.ACK {
		t.Fatalf("answer to the SYN: % x", f.Data)
	}
	ack := syn
	ack.Seq, ack.Ack, ack.Flags, ack.Options = syn.Seq+1, h.Seq+1, tuntest.ACK, nil
	r.host.MustSend(t, tuntest.Frame{Data: ack.Packet()})
	return tuntest.TCP{Seq: h.Seq, Options: f.Data[h.Offset+packet.TCPHeaderLen : h.End]}
}

// receivePayload returns the next frame with payload, and the size of its segments, of which it has
// one or more. Others may be a SYN-ACK that is sent again.
func (r *testRouter) receivePayload(t *testing.T) (f tuntest.Frame, segment uint16) {
	t.Helper()
	for {
		f = r.host.MustReceive(t)
		var h packet.Headers
		h.Parse(f.Data, len(f.Data))
		switch n := uint16(h.PayloadLen()); {
		case n == 0:
		case f.Offload.GSO != tun.GSONone:
			return f, f.Offload.GSOSize
		default:
			return f, n
		}
	}
}

func tcpFamilies(t *testing.T, test func(t *testing.T, network string, client, server netip.Addr)) {
	t.Run("IPv4", func(t *testing.T) { test(t, "tcp4", clientV4, serverV4) })
	t.Run("IPv6", func(t *testing.T) { test(t, "tcp6", clientV6, serverV6) })
}

// TestTooBigFromClientSide has a router behind the link say that segments are too big, and others
// pretend so.
func TestTooBigFromClientSide(t *testing.T) {
	tcpFamilies(t, func(t *testing.T, network string, client, server netip.Addr) {
		stop := make(chan struct{})
		port := serve(t, network, func(c *net.TCPConn) { _, _ = c.Write(make([]byte, 5000)); <-stop })
		defer close(stop)
		router := startRouter(t, Options{}, dial.Policy{})
		syn := tuntest.TCP{
			Src: netip.AddrPortFrom(client, 4000), Dst: netip.AddrPortFrom(server, uint16(port)), Seq: 1000, Flags: tuntest.SYN, Window: 60000,
			Options: []byte{2, 4, 5, 180},
		}
		router.dialByHand(t, syn)
		f, whole := router.receivePayload(t)
		ipLen := uint16(packet.HeaderLen(client))
		if whole < 1400 {
			t.Fatalf("segments of %d bytes", whole)
		}

		stale, unsent, other, short := bytes.Clone(f.Data), bytes.Clone(f.Data), bytes.Clone(f.Data), f.Data[:ipLen+7]
		be := binary.BigEndian
		seq := be.Uint32(f.Data[ipLen+4:])
		be.PutUint32(stale[ipLen+4:], seq-1)
		be.PutUint32(unsent[ipLen+4:], seq+5000)
		be.PutUint16(other[ipLen+2:], 4001)
		forged := [][]byte{tooBigAbout(stale, 1300), tooBigAbout(unsent, 1300), tooBigAbout(other, 1300), tooBigAbout(short, 1300), tooBigAbout(f.Data, 65000)}
		if client.Is6() {
			forged = append(forged, tooBigAbout(f.Data, 1279)) // RFC 8201 §4
		}
		for _, p := range forged {
			router.host.MustSend(t, tuntest.Frame{Data: p})
		}
		tuntest.Wait(t, "forged errors counted", func() bool { return router.stats.DropUnmatched.Load() == uint64(len(forged)) })
		if n := min(1500, router.paths.MTU(client)); n != 1500 {
			t.Errorf("path MTU %d after forged errors", n)
		}

		path := uint16(1300)
		tell := func(mtu uint16) {
			t.Helper()
			router.host.MustSend(t, tuntest.Frame{Data: tooBigAbout(f.Data, mtu)})
			again, segment := f, whole
			for be.Uint32(again.Data[ipLen+4:]) != seq || segment != path-ipLen-20 { // sent once more
				again, segment = router.receivePayload(t)
			}
		}
		tell(path)
		if client.Is4() {
			path = 552 // net.ipv4.route.min_pmtu
			tell(0)
		}
		syn.Src = netip.AddrPortFrom(client, 4002)
		second := router.dialSecond(t, syn)
		if mss := be.Uint16(second[2:]); mss != path-ipLen-20 {
			t.Errorf("the next connection's MSS is %d, want %d", mss, path-ipLen-20)
		}
	})
}

// dialSecond opens a connection beside one that retransmits, and returns the options of the
// SYN-ACK.
func (r *testRouter) dialSecond(t *testing.T, syn tuntest.TCP) []byte {
	t.Helper()
	r.host.MustSend(t, tuntest.Frame{Data: syn.Packet()})
	for {
		f := r.host.MustReceive(t)
		var h packet.Headers
		h.Parse(f.Data, len(f.Data))
		if h.DstPort == syn.Src.Port() && h.Flags == tuntest.SYN|tuntest.ACK {
			if err := tuntest.VerifyChecksums(f.Data); err != nil {
				t.Error(err)
			}
			return f.Data[h.Offset+packet.TCPHeaderLen : h.End]
		}
	}
}

// TestTooBigAboutReplies has a router behind the link say that an answer over IPv6 is too big. The
// next one comes in fragments.
func TestTooBigAboutReplies(t *testing.T) {
	far := tuntest.ListenUDP(t, "[::1]:0")
	router := startRouter(t, Options{}, dial.Policy{})
	client, server := netip.AddrPortFrom(clientV6, 5353), netip.AddrPortFrom(serverV6, tuntest.PortOf(far))
	seen := router.host.Exchange(t, client, server, far)
	reply := randomBytes(1400)
	answer := func() []byte {
		t.Helper()
		if _, err := far.WriteToUDPAddrPort(reply, seen); err != nil {
			t.Fatal(err)
		}
		return router.host.MustReceive(t).Data
	}
	whole := answer()
	longer, other := bytes.Clone(whole), bytes.Clone(whole)
	binary.BigEndian.PutUint16(longer[4:], 1409)
	other[40] ^= 1 // its source port
	for _, p := range [][]byte{longer, other} {
		router.host.MustSend(t, tuntest.Frame{Data: tooBigAbout(p, 1300)})
	}
	tuntest.Wait(t, "forged errors counted", func() bool { return router.stats.DropUnmatched.Load() == 2 })
	if p := answer(); len(p) != len(whole) {
		t.Fatalf("answer of %d bytes after forged errors, want %d", len(p), len(whole))
	}
	router.host.MustSend(t, tuntest.Frame{Data: tooBigAbout(whole, 1300)})
	tuntest.Wait(t, "path MTU learned", func() bool { return router.paths.MTU(clientV6) == 1300 })
	for range 2 {
		if p := answer(); len(p) > 1300 || p[6] != packet.ProtoFragment {
			t.Errorf("a packet of %d bytes with protocol %d, want a fragment", len(p), p[6])
		}
		router.host.MustReceive(t) // the second fragment
	}
}

// TestNarrowRouteToClient has clients behind a link of 1400 bytes: MSS and answers keep to it from
// the first on.
func TestNarrowRouteToClient(t *testing.T) {
	tcpFamilies(t, func(t *testing.T, network string, client, server netip.Addr) {
		port := serve(t, network, func(c *net.TCPConn) { _, _ = c.Write(make([]byte, 5000)); _, _ = io.Copy(io.Discard, c) })
		router := startRouter(t, Options{ClientMTU: narrowRoute}, dial.Policy{})
		want := 1400 - uint16(packet.HeaderLen(client)) - 20
		synack := router.dialByHand(t, tuntest.TCP{
			Src: netip.AddrPortFrom(client, 4000), Dst: netip.AddrPortFrom(server, uint16(port)), Seq: 1000, Flags: tuntest.SYN, Window: 60000,
			Options: []byte{1, 2, 4, 5, 180, 1, 0, 0}, // at an odd offset
		})
		if mss := binary.BigEndian.Uint16(synack.Options[2:]); mss != want {
			t.Errorf("MSS announced: %d, want %d", mss, want)
		}
		if _, size := router.receivePayload(t); size != want {
			t.Errorf("segments of %d bytes, want %d", size, want)
		}
	})
}
