//go:build linux

package stack

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"syntap/stack/dial"
	"syntap/tun/tuntest"
)

// routerIn starts a router whose host sockets are in a network namespace, with ping sockets allowed there or not.
func routerIn(t *testing.T, ns *tuntest.Namespace, pingSockets bool, d dial.Options) *testRouter {
	t.Helper()
	groups := "1 0" // nobody
	if pingSockets {
		groups = "0 2147483647"
	}
	ns.Sysctl("net.ipv4.ping_group_range", groups)
	link, host := tuntest.NewPipe(1500)
	s, err := New(link, dial.New(d), Options{})
	if err != nil {
		t.Fatal(err)
	}
	return runRouter(t, s, host, ns.Do)
}

// echoSockets runs a test with ping sockets and with raw ones.
func echoSockets(t *testing.T, test func(t *testing.T, pingSockets bool)) {
	t.Run("ping socket", func(t *testing.T) { test(t, true) })
	t.Run("raw socket", func(t *testing.T) { test(t, false) })
}

var echoFamilies = []struct {
	name           string
	client, server netip.Addr
	request, reply byte
}{
	{"IPv4", clientV4, serverV4, icmp4EchoRequest, icmp4EchoReply},
	{"IPv6", clientV6, serverV6, icmp6EchoRequest, icmp6EchoReply},
}

// echo returns an echo request with an identifier, and the message of the reply to it.
func echo(client, server netip.Addr, ident, seq byte, payload []byte) (request tuntest.ICMP) {
	request = tuntest.ICMP{Src: client, Dst: server, Type: icmp4EchoRequest, Rest: [4]byte{0x12, ident, 0, seq}, Payload: payload}
	if client.Is6() {
		request.Type = icmp6EchoRequest
	}
	return request
}

func TestEchoRoundTrip(t *testing.T) {
	echoSockets(t, func(t *testing.T, pingSockets bool) {
		router := routerIn(t, tuntest.NewNamespace(t), pingSockets, dial.Options{Redirect: toLoopback})
		for _, tt := range echoFamilies {
			t.Run(tt.name, func(t *testing.T) {
				for seq, size := range []int{0, 56, 1472, 8000, 65000} {
					// Two clients with one identifier, and one with two.
					for _, request := range []tuntest.ICMP{
						echo(tt.client, tt.server, 1, byte(seq), randomBytes(size)),
						echo(tt.client.Next(), tt.server, 1, byte(seq), randomBytes(size)),
						echo(tt.client, tt.server, 2, byte(seq), randomBytes(size)),
					} {
						packet := request.Packet()
						router.send(t, tuntest.Frame{Data: packet})
						got := router.receive(t).Data
						if err := tuntest.VerifyChecksums(got); err != nil {
							t.Error(err)
						}
						var ip ipHeader
						ip.parse(got, len(got))
						if ip.srcAddr(got) != request.Dst || ip.dstAddr(got) != request.Src {
							t.Errorf("reply from %s to %s, want from %s to %s", ip.srcAddr(got), ip.dstAddr(got), request.Dst, request.Src)
						}
						want := packet[len(packet)-8-size:]
						if m := got[ip.len:]; m[0] != tt.reply || m[1] != 0 || !bytes.Equal(m[4:], want[4:]) {
							t.Errorf("%d bytes: reply %.20x, want identifier, number and payload of %.20x", size, m, want)
						}
					}
				}
			})
		}
		if n := router.stats.EchoFlows.Load(); n != 6 {
			t.Errorf("echo flows: %d, want 6", n)
		}
		router.stop()
		if n := router.stats.EchoFlows.Load(); n != 0 {
			t.Errorf("echo flows after the end: %d", n)
		}
	})
}

func TestEchoFragmentsAreReassembled(t *testing.T) {
	router := routerIn(t, tuntest.NewNamespace(t), true, dial.Options{Redirect: toLoopback})
	for _, tt := range echoFamilies {
		t.Run(tt.name, func(t *testing.T) {
			want := randomBytes(3000)
			for _, p := range fragments(echo(tt.client, tt.server, 1, 1, want).Packet(), 1448) {
				router.send(t, tuntest.Frame{Data: p})
			}
			if got := router.receive(t).Data; !bytes.HasSuffix(got, want) {
				t.Errorf("reply of %d bytes, want one with the payload sent", len(got))
			}
			router.wantNoAnswer(t)
		})
	}
}

// Nobody answers for a far end that is silent, and other messages are not answered either.
func TestICMPIsNotAnsweredLocally(t *testing.T) {
	ns := tuntest.NewNamespace(t)
	router := routerIn(t, ns, true, dial.Options{Redirect: toLoopback})
	ns.Sysctl("net.ipv4.icmp_echo_ignore_all", "1")
	ns.Sysctl("net.ipv6.icmp.echo_ignore_all", "1")
	packets := [][]byte{
		echo(clientV4, serverV4, 1, 1, nil).Packet(),
		echo(clientV6, serverV6, 1, 1, nil).Packet(),
	}
	others := []tuntest.ICMP{
		{Src: clientV4, Dst: serverV4, Type: 13},                                              // timestamp
		{Src: clientV4, Dst: serverV4, Type: icmp4EchoReply},                                  // unasked for
		{Src: clientV4, Dst: serverV4, Type: 3, Code: 1},                                      // host unreachable
		{Src: clientV6, Dst: serverV6, Type: icmp6EchoReply},                                  // unasked for
		{Src: clientV6, Dst: serverV6, Type: 135},                                             // neighbour solicitation
		{Src: netip.MustParseAddr("fe80::1"), Dst: netip.MustParseAddr("ff02::2"), Type: 133}, // router solicitation
	}
	for _, m := range others {
		m.Payload = make([]byte, 40)
		packets = append(packets, m.Packet())
	}
	listenerReport := tuntest.ICMP{Src: netip.MustParseAddr("fe80::1"), Dst: netip.MustParseAddr("ff02::16"), Type: 143}.Packet()
	routerAlert := []byte{protoICMPv6, 0, 5, 2, 0, 0, 1, 0} // RFC 2711 §2.1
	report := tuntest.IP{TTL: 1}.Packet(netip.MustParseAddr("fe80::1"), netip.MustParseAddr("ff02::16"), 0, append(routerAlert, listenerReport[40:]...))
	router.send(t, tuntest.Frame{Data: report}) // handled before what follows: there is one read loop

	for _, p := range packets {
		router.send(t, tuntest.Frame{Data: p})
	}
	eventually(t, "others counted", func() bool { return router.stats.DropICMP.Load() == uint64(len(others)) })
	eventually(t, "echoes on their way", func() bool { return router.stats.EchoFlows.Load() == 2 })
	router.wantNoAnswer(t)
}

func TestEchoDeniedIsProhibited(t *testing.T) {
	router := startRouter(t, Options{}, dial.Policy{Deny: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}})
	packet := echo(clientV4, netip.MustParseAddr("203.0.113.9"), 1, 1, nil).Packet()
	router.send(t, tuntest.Frame{Data: packet})
	if m := router.receive(t).Data[20:]; m[0] != 3 || m[1] != 13 || !bytes.Equal(m[8:], packet) {
		t.Errorf("ICMP message %x, want type 3, code 13 and the packet", m)
	}
}

func TestEchoChecksumIsVerified(t *testing.T) {
	router := startRouter(t, Options{}, dial.Policy{})
	for _, tt := range echoFamilies {
		packet := echo(tt.client, tt.server, 1, 1, []byte("hello")).Packet()
		packet[len(packet)-1] ^= 1
		router.send(t, tuntest.Frame{Data: packet})
	}
	eventually(t, "both dropped", func() bool { return router.stats.DropChecksum.Load() == 2 })
	if n := router.stats.EchoFlows.Load(); n != 0 {
		t.Errorf("echo flows: %d, want none", n)
	}
}

// The router itself is no hop: what the client counts down reaches the network, and the network's errors the client.
//
//	client ── Stack ── Lab.Client ──1── Lab.Router ──2── Lab.Server
func TestHopsAreReal(t *testing.T) {
	lab := tuntest.NewLab(t)
	for _, r := range []string{"203.0.113.128/25", "2001:db8:3:1::/64"} {
		lab.Router.Run("ip", "route", "add", "unreachable", r)
	}
	for _, ns := range []*tuntest.Namespace{lab.Router, lab.Server} { // no error is one too many
		ns.Sysctl("net.ipv4.icmp_ratemask", "0")
		ns.Sysctl("net.ipv6.icmp.ratelimit", "0")
	}
	type answer struct {
		from      netip.Addr
		typ, code byte
	}
	client4, client6 := clientV4, netip.MustParseAddr("2001:db8:9::1")
	addr := netip.MustParseAddr
	echoSockets(t, func(t *testing.T, pingSockets bool) {
		router := routerIn(t, lab.Client, pingSockets, dial.Options{})
		for _, tt := range []struct {
			name   string
			server string
			ttl    uint8
			want   answer // to an echo request
			udp    answer // to a datagram to a port that is closed
		}{
			{"IPv4 first hop", tuntest.ServerAddr4, 1, answer{addr("192.0.2.1"), 11, 0}, answer{addr("192.0.2.1"), 11, 0}},
			{"IPv4 far end", tuntest.ServerAddr4, 2, answer{addr(tuntest.ServerAddr4), 0, 0}, answer{addr(tuntest.ServerAddr4), 3, 3}},
			{"IPv4 first hop again", tuntest.ServerAddr4, 1, answer{addr("192.0.2.1"), 11, 0}, answer{addr("192.0.2.1"), 11, 0}},
			{"IPv4 unreachable", "203.0.113.130", 64, answer{addr("192.0.2.1"), 3, 1}, answer{addr("192.0.2.1"), 3, 1}},
			{"IPv6 first hop", tuntest.ServerAddr6, 1, answer{addr("2001:db8:1::1"), 3, 0}, answer{addr("2001:db8:1::1"), 3, 0}},
			{"IPv6 far end", tuntest.ServerAddr6, 2, answer{addr(tuntest.ServerAddr6), 129, 0}, answer{addr(tuntest.ServerAddr6), 1, 4}},
			{"IPv6 unreachable", "2001:db8:3:1::5", 64, answer{addr("2001:db8:1::1"), 1, 0}, answer{addr("2001:db8:1::1"), 1, 0}},
		} {
			t.Run(tt.name, func(t *testing.T) {
				server, client := addr(tt.server), client4
				if server.Is6() {
					client = client6
				}
				request := echo(client, server, 1, 1, []byte("0123456789"))
				datagram := tuntest.UDP{Src: netip.AddrPortFrom(client, 5353), Dst: netip.AddrPortFrom(server, 33434), Payload: []byte("0123456789")}
				request.IP.TTL, datagram.IP.TTL = tt.ttl, tt.ttl
				for _, p := range []struct {
					packet []byte
					want   answer
				}{{request.Packet(), tt.want}, {datagram.Packet(), tt.udp}} {
					router.send(t, tuntest.Frame{Data: bytes.Clone(p.packet)})
					got := router.receive(t).Data
					if err := tuntest.VerifyChecksums(got); err != nil {
						t.Error(err)
					}
					var ip ipHeader
					ip.parse(got, len(got))
					m := got[ip.len:]
					if have := (answer{ip.srcAddr(got), m[0], m[1]}); have != p.want || ip.dstAddr(got) != client {
						t.Errorf("answer %v to %s, want %v to %s", have, ip.dstAddr(got), p.want, client)
					}
					if isError := m[0] != icmp4EchoReply && m[0] != icmp6EchoReply; isError {
						checkQuote(t, m[8:], p.packet)
					}
				}
			})
		}
	})
}

// checkQuote compares what tells one packet from another: addresses, ports, identifier, sequence number, payload.
func checkQuote(t *testing.T, quote, packet []byte) {
	t.Helper()
	var ip, want ipHeader
	if !want.parse(packet, len(packet)) || !ip.parse(quote, len(quote)) {
		t.Fatalf("quote %x", quote)
	}
	got, sent := quote[ip.len:], packet[want.len:]
	if ip.srcAddr(quote) != want.srcAddr(packet) || ip.dstAddr(quote) != want.dstAddr(packet) || ip.proto != want.proto {
		t.Errorf("quotes a packet from %s to %s, want %s to %s", ip.srcAddr(quote), ip.dstAddr(quote), want.srcAddr(packet), want.dstAddr(packet))
	}
	checksumAt := 6
	if want.proto != protoUDP {
		checksumAt = 2
	}
	binary.BigEndian.PutUint16(got[checksumAt:], 0) // of UDP, the error queue does not tell it
	binary.BigEndian.PutUint16(sent[checksumAt:], 0)
	if !bytes.Equal(got, sent) {
		t.Errorf("quotes %x, want %x", got, sent)
	}
}

// A path MTU is the host's affair: the client's datagrams, longer than it, arrive nevertheless.
func TestUDPBeyondPathMTU(t *testing.T) {
	lab := tuntest.NewLab(t)
	lab.Router.Run("ip", "link", "set", "wan0", "mtu", "1300")
	router := routerIn(t, lab.Client, true, dial.Options{})
	for _, tt := range []struct{ client, server string }{{"198.51.100.77", tuntest.ServerAddr4}, {"2001:db8:9::1", tuntest.ServerAddr6}} {
		far := lab.Server.ListenPacket("udp", netip.AddrPortFrom(netip.MustParseAddr(tt.server), 0).String())
		port := far.LocalAddr().(interface{ AddrPort() netip.AddrPort }).AddrPort().Port()
		packet := tuntest.UDP{
			Src:     netip.AddrPortFrom(netip.MustParseAddr(tt.client), 5353),
			Dst:     netip.AddrPortFrom(netip.MustParseAddr(tt.server), port),
			Payload: randomBytes(1400), IP: tuntest.IP{DF: true},
		}.Packet()
		arrived := make(chan int, 1)
		go func() {
			b := make([]byte, 2000)
			n, _, _ := far.ReadFrom(b)
			arrived <- n
		}()
		eventually(t, "the datagram to arrive", func() bool { // the first ones are lost until the host knows the path
			router.send(t, tuntest.Frame{Data: bytes.Clone(packet)})
			select {
			case n := <-arrived:
				if n != 1400 {
					t.Errorf("far end got %d bytes, want 1400", n)
				}
				return true
			default:
				return false
			}
		})
	}
	router.wantNoAnswer(t)
}
