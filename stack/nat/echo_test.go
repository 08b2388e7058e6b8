//go:build linux

package nat

import (
	"bytes"
	"net/netip"
	"testing"

	"syntap/stack/dial"
	"syntap/tun/packet"
	"syntap/tun/tuntest"
)

// echoSockets runs a test with ping sockets and with raw ones.
func echoSockets(t *testing.T, test func(t *testing.T, pingSockets bool)) {
	t.Run("ping socket", func(t *testing.T) { test(t, true) })
	t.Run("raw socket", func(t *testing.T) { test(t, false) })
}

var echoFamilies = []struct {
	name           string
	client, server netip.Addr
	reply          byte
}{
	{"IPv4", clientV4, serverV4, packet.ICMPEchoReply},
	{"IPv6", clientV6, serverV6, packet.ICMPv6EchoReply},
}

// echo returns an echo request.
func echo(client, server netip.Addr, ident, seq byte, payload []byte) (request tuntest.ICMP) {
	request = tuntest.ICMP{
		Src: client, Dst: server, Type: packet.ICMPEchoRequest,
		Rest: [4]byte{0x12, ident, 0, seq}, Payload: payload,
	}
	if client.Is6() {
		request.Type = packet.ICMPv6EchoRequest
	}
	return request
}

func TestEchoRoundTrip(t *testing.T) {
	echoSockets(t, func(t *testing.T, pingSockets bool) {
		ns := tuntest.NewNamespace(t)
		router := routerIn(t, ns, pingSockets, dial.Options{Redirect: tuntest.ToLoopback})
		for _, tt := range echoFamilies {
			t.Run(tt.name, func(t *testing.T) {
				for seq, size := range []int{0, 56, 1472, 8000, 65000} {
					// Two clients with one identifier, and one with two.
					for _, request := range []tuntest.ICMP{
						echo(tt.client, tt.server, 1, byte(seq), randomBytes(size)),
						echo(tt.client.Next(), tt.server, 1, byte(seq), randomBytes(size)),
						echo(tt.client, tt.server, 2, byte(seq), randomBytes(size)),
					} {
						testEcho(t, router, request, tt.reply)
					}
				}
			})
		}
		if n := router.stats.Echo.Load(); n != 6 {
			t.Errorf("mappings: %d, want 6", n)
		}
		router.stop()
		if n := router.stats.Echo.Load(); n != 0 {
			t.Errorf("mappings after the end: %d", n)
		}
	})
}

func testEcho(t *testing.T, router *testRouter, request tuntest.ICMP, reply byte) {
	t.Helper()
	b := request.Packet()
	router.host.MustSend(t, tuntest.Frame{Data: bytes.Clone(b)})
	got := router.host.MustReceive(t).Data
	if err := tuntest.VerifyChecksums(got); err != nil {
		t.Error(err)
	}
	h, m := parse(t, got)
	if h.Src(got) != request.Dst || h.Dst(got) != request.Src {
		t.Errorf("reply from %s to %s, want from %s to %s",
			h.Src(got), h.Dst(got), request.Dst, request.Src)
	}
	want := b[len(b)-8-len(request.Payload):]
	if m[0] != reply || m[1] != 0 || !bytes.Equal(m[4:], want[4:]) {
		t.Errorf("reply %.20x, want identifier, number and payload of %.20x", m, want)
	}
}

// TestEchoOverNarrowPath: a reply that is longer than the client's path takes comes in fragments.
func TestEchoOverNarrowPath(t *testing.T) {
	link, host := tuntest.NewPipe(1500)
	router := newRouter(t, link, dial.Options{Redirect: tuntest.ToLoopback}, Options{})
	router.host, router.clientMTU = host, 1400
	ns := tuntest.NewNamespace(t)
	ns.Sysctl("net.ipv4.ping_group_range", "0 2147483647")
	router.run(t, ns.Do)
	want := randomBytes(1380)
	router.host.MustSend(t, tuntest.Frame{Data: echo(clientV6, serverV6, 1, 1, want).Packet()})
	first := router.host.MustReceive(t).Data
	got := reassemble(t, 1400, first, router.host.MustReceive(t).Data)
	if err := tuntest.VerifyChecksums(got); err != nil || !bytes.HasSuffix(got, want) {
		t.Errorf("reply of %d bytes, %v", len(got), err)
	}
}

// TestICMPIsNotAnsweredLocally: the router does not answer for a silent far end, nor other
// messages.
func TestICMPIsNotAnsweredLocally(t *testing.T) {
	ns := tuntest.NewNamespace(t)
	router := routerIn(t, ns, true, dial.Options{Redirect: tuntest.ToLoopback})
	ns.Sysctl("net.ipv4.icmp_echo_ignore_all", "1")
	ns.Sysctl("net.ipv6.icmp.echo_ignore_all", "1")
	packets := [][]byte{
		echo(clientV4, serverV4, 1, 1, nil).Packet(), echo(clientV6, serverV6, 1, 1, nil).Packet(),
	}
	linkLocal, routers := netip.MustParseAddr("fe80::1"), netip.MustParseAddr("ff02::2")
	others := []tuntest.ICMP{
		{Src: clientV4, Dst: serverV4, Type: 13},                     // timestamp
		{Src: clientV4, Dst: serverV4, Type: packet.ICMPEchoReply},   // without a request
		{Src: clientV4, Dst: serverV4, Type: 3, Code: 1},             // host unreachable
		{Src: clientV6, Dst: serverV6, Type: packet.ICMPv6EchoReply}, // without a request
		{Src: clientV6, Dst: serverV6, Type: 135},                    // neighbour solicitation
		{Src: linkLocal, Dst: routers, Type: 133},                    // router solicitation
	}
	for _, m := range others {
		m.Payload = make([]byte, 40)
		packets = append(packets, m.Packet())
	}
	for _, p := range packets {
		router.host.MustSend(t, tuntest.Frame{Data: p})
	}
	tuntest.Wait(t, "others counted", func() bool {
		return router.stats.DropICMP.Load() == uint64(len(others))
	})
	tuntest.Wait(t, "echoes on their way", func() bool { return router.stats.Echo.Load() == 2 })
	router.wantNoAnswer(t)
}

// TestEchoToMappedAddress: ICMPv6 does not go to an IPv4-mapped address.
func TestEchoToMappedAddress(t *testing.T) {
	router := newRouter(t, &sink{}, dial.Options{}, Options{})
	request := echo(clientV6, netip.MustParseAddr("::ffff:192.0.2.1"), 1, 1, nil)
	router.route(tuntest.Frame{Data: request.Packet()})
	if n := router.stats.DropICMP.Load(); n != 1 {
		t.Errorf("dropped %d, want 1", n)
	}
}

// TestShortICMPIsDropped: a message without a whole header is malformed.
func TestShortICMPIsDropped(t *testing.T) {
	router := newRouter(t, &sink{}, dial.Options{Redirect: tuntest.ToLoopback}, Options{})
	short := tuntest.IP{}.Packet(clientV4, serverV4, packet.ProtoICMP, []byte{8, 0, 0, 0, 0, 0, 0})
	router.route(tuntest.Frame{Data: short})
	if n := router.stats.DropMalformed.Load(); n != 1 {
		t.Errorf("dropped %d, want 1", n)
	}
}
