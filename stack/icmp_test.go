//go:build linux

package stack

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"syntap/stack/dial"
	"syntap/tun/packet"
	"syntap/tun/tuntest"
)

// routerIn starts a router whose host sockets are in a network namespace, with ping sockets allowed
// there or not.
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

// The router itself is no hop: what the client counts down reaches the network, and the network's
// errors the client.
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

// checkQuote compares what tells one packet from another: addresses, ports, identifier, sequence
// number, payload.
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

// A client that forbids fragments is told the path MTU, by who knows it; for others the host
// fragments, and the network.
//
//	client ── Stack ── Lab.Client ──1500── Lab.Router ──1300── Lab.Server
func TestPathMTUIsTold(t *testing.T) {
	const pathMTU = 1300
	lab := tuntest.NewLab(t)
	lab.Router.Run("ip", "link", "set", "wan0", "mtu", "1300")
	lab.Server.Run("ip", "link", "set", "eth0", "mtu", "1300")
	echoSockets(t, func(t *testing.T, pingSockets bool) {
		router := routerIn(t, lab.Client, pingSockets, dial.Options{})
		for _, tt := range []struct {
			client, server, teller string
			typ, code              byte
			mtuAt                  int // in the ICMP message
		}{
			{"198.51.100.77", tuntest.ServerAddr4, "192.0.2.1", 3, 4, 6},
			{"2001:db8:9::1", tuntest.ServerAddr6, "2001:db8:1::1", 2, 0, 6},
		} {
			client, server := netip.MustParseAddr(tt.client), netip.MustParseAddr(tt.server)
			far := lab.Server.ListenPacket("udp", netip.AddrPortFrom(server, 0).String()).(*net.UDPConn)
			_ = far.SetDeadline(time.Now().Add(patience))
			datagram := tuntest.UDP{Src: netip.AddrPortFrom(client, 5353), Dst: netip.AddrPortFrom(server, portOf(far)), Payload: randomBytes(1400), IP: tuntest.IP{DF: true}}
			request := echo(client, server, 1, 1, randomBytes(1400))
			request.IP.DF = true
			for range 2 { // what the host has learned from the first does not matter
				for _, packet := range [][]byte{datagram.Packet(), request.Packet()} {
					router.send(t, tuntest.Frame{Data: bytes.Clone(packet)})
					got := router.receive(t).Data
					if err := tuntest.VerifyChecksums(got); err != nil {
						t.Error(err)
					}
					var ip ipHeader
					ip.parse(got, len(got))
					m := got[ip.len:]
					if m[0] != tt.typ || m[1] != tt.code || int(binary.BigEndian.Uint16(m[tt.mtuAt:])) != pathMTU || ip.srcAddr(got).String() != tt.teller {
						t.Errorf("answer of %s: %x, want type %d, code %d and MTU %d of %s", ip.srcAddr(got), m[:8], tt.typ, tt.code, pathMTU, tt.teller)
					}
					if quote := m[8:]; !ip.parse(quote, 1500) || ip.dstAddr(quote) != server || ip.srcAddr(quote) != client {
						t.Errorf("quotes %x", quote)
					}
				}
			}
			// In pieces, or without DF, they arrive.
			pieces := fragments(datagram.Packet(), 704)
			if server.Is4() {
				datagram.IP.DF = false
				pieces = append(pieces, datagram.Packet())
			}
			for _, p := range pieces {
				router.send(t, tuntest.Frame{Data: p})
			}
			for range len(pieces) - 1 {
				wantDatagrams(t, far, datagram.Payload, 1400)
			}
			for _, p := range fragments(request.Packet(), 704) {
				router.send(t, tuntest.Frame{Data: p})
			}
			if got := router.receive(t).Data; !bytes.HasSuffix(got, request.Payload) {
				t.Errorf("answer %.60x, want an echo", got)
			}
		}
		router.wantNoAnswer(t)
	})
}

// What the IP header says of a datagram or an echo crosses as it is, and what it says of an answer,
// too.
func TestMarksCross(t *testing.T) {
	lab := tuntest.NewLab(t)
	echoSockets(t, func(t *testing.T, pingSockets bool) {
		router := routerIn(t, lab.Client, pingSockets, dial.Options{})
		for _, tt := range []struct{ client, server string }{{"198.51.100.77", tuntest.ServerAddr4}, {"2001:db8:9::1", tuntest.ServerAddr6}} {
			client, server := netip.MustParseAddr(tt.client), netip.MustParseAddr(tt.server)
			far := lab.Server.ListenPacket("udp", netip.AddrPortFrom(server, 0).String()).(*net.UDPConn)
			_ = far.SetDeadline(time.Now().Add(patience))
			level, recvHops, recvTOS, hops, tos := unix.IPPROTO_IP, unix.IP_RECVTTL, unix.IP_RECVTOS, unix.IP_TTL, unix.IP_TOS
			if client.Is6() {
				level, recvHops, recvTOS, hops, tos = unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, unix.IPV6_RECVTCLASS, unix.IPV6_UNICAST_HOPS, unix.IPV6_TCLASS
			}
			set := func(option, value int) {
				t.Helper()
				raw, err := far.SyscallConn()
				if err != nil {
					t.Fatal(err)
				}
				if err := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), level, option, value) }); err != nil {
					t.Fatal(err)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			set(recvHops, 1)
			set(recvTOS, 1)
			marked := func(b []byte, as marks) tuntest.Frame {
				var ip ipHeader
				ip.parse(b, len(b))
				*ip.hopLimit(b) = as.hopLimit
				ip.setTOS(b, as.tos)
				if !ip.v6 {
					binary.BigEndian.PutUint16(b[10:], 0)
					binary.BigEndian.PutUint16(b[10:], ^packet.Checksum(b[:20], 0))
				}
				return tuntest.Frame{Data: b}
			}
			for _, as := range []marks{{hopLimit: 64, tos: 0xb9}, {hopLimit: 33, tos: 0x2a}, {hopLimit: 64}, {hopLimit: 255, tos: 3}} {
				datagram := tuntest.UDP{Src: netip.AddrPortFrom(client, 5353), Dst: netip.AddrPortFrom(server, portOf(far)), Payload: []byte("hello")}
				router.send(t, marked(datagram.Packet(), as))
				b, oob := make([]byte, 100), make([]byte, 200)
				_, n, _, peer, err := far.ReadMsgUDPAddrPort(b, oob)
				if err != nil {
					t.Fatal(err)
				}
				got := inbound{}
				got.message.header.Controllen = uint64(copy(unsafe.Slice((*byte)(unsafe.Pointer(&got.message.control[0])), 192), oob[:n]))
				got.readControl()
				want := marks{hopLimit: as.hopLimit - 1, tos: as.tos} // Lab.Router is a hop
				if got.marks != want {
					t.Errorf("to %s: far end got %+v, want %+v", server, got.marks, want)
				}
				set(hops, int(as.hopLimit))
				set(tos, int(as.tos))
				if _, err := far.WriteToUDPAddrPort([]byte("hello"), peer); err != nil {
					t.Fatal(err)
				}
				check := func(f tuntest.Frame) {
					t.Helper()
					back := frame{head: f.Data}
					back.ip.parse(f.Data, len(f.Data))
					have := back.marks()
					have.whole = false
					if have != want {
						t.Errorf("from %s: client got %+v, want %+v", server, have, want)
					}
				}
				check(router.receive(t))
				request := echo(client, server, 1, 1, nil)
				router.send(t, marked(request.Packet(), as))
				want.hopLimit = 63 // the far end answers with the TOS of the request, less its ECN
				f := router.receive(t)
				back := frame{head: f.Data}
				back.ip.parse(f.Data, len(f.Data))
				if have := back.marks(); have.hopLimit != 63 || back.ip.v6 && have.tos&^3 != as.tos&^3 && have.tos != 0 || !back.ip.v6 && have.tos&^3 != as.tos&^3 {
					t.Errorf("echo reply of %s to %+v has %+v", server, as, have)
				}
			}
		}
	})
}
