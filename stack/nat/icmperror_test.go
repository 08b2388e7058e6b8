//go:build linux

package nat

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"testing"

	"syntap/stack/dial"
	"syntap/tun/packet"
	"syntap/tun/tuntest"
)

// closedPort returns a port of the loopback that refuses datagrams until the test ends: its socket
// has another peer, and keeps others from the port.
func closedPort(t *testing.T, loopback string) uint16 {
	t.Helper()
	local := net.UDPAddrFromAddrPort(netip.MustParseAddrPort(loopback))
	c, err := net.DialUDP("udp", local, &net.UDPAddr{IP: local.IP, Port: 9})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return tuntest.PortOf(c)
}

func TestRefusedIsPortUnreachable(t *testing.T) {
	for _, tt := range []struct {
		name           string
		client, server netip.Addr
		loopback       string
		typ, code      byte
	}{
		{"IPv4", clientV4, serverV4, "127.0.0.1:0", 3, 3},
		{"IPv6", clientV6, serverV6, "[::1]:0", 1, 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			router := startRouter(t, Options{}, dial.Policy{})
			client := netip.AddrPortFrom(tt.client, 5353)
			server := netip.AddrPortFrom(tt.server, closedPort(t, tt.loopback))
			far := tuntest.ListenUDP(t, tt.loopback)
			for range 3 { // an error must not cost the datagrams that follow it
				b := datagram(client, server, []byte("hello"))
				router.host.MustSend(t, tuntest.Frame{Data: bytes.Clone(b)})
				router.host.Exchange(t, client, netip.AddrPortFrom(tt.server, tuntest.PortOf(far)), far)
				m := router.receiveICMP(t)
				if m.Type != tt.typ || m.Code != tt.code || m.From != tt.server ||
					m.addressee != tt.client {
					t.Errorf("ICMP error %+v, want type %d, code %d", m, tt.typ, tt.code)
				}
				checkQuote(t, m.quote, b)
			}
			if n := router.stats.DropSend.Load(); n != 0 {
				t.Errorf("%d datagrams lost", n)
			}
		})
	}
}

// TestUnsentIsAnswered has a host whose routes lead nowhere, or to a link that is too small.
func TestUnsentIsAnswered(t *testing.T) {
	ns := tuntest.NewNamespace(t) // with nothing but a loopback
	for _, r := range []string{"198.18.1.0/24", "2001:db8:31::/64"} {
		ns.Run("ip", "route", "add", "prohibit", r)
	}
	for _, r := range []string{"198.18.2.0/24", "2001:db8:32::/64"} {
		ns.Run("ip", "route", "add", "unreachable", r)
	}
	ns.Run("ip", "link", "set", "lo", "mtu", "1400")
	router := routerIn(t, ns, true, dial.Options{Redirect: tuntest.ToLoopback})
	for _, tt := range []struct {
		name, server string
		typ, code    byte
		rest         uint32
	}{
		{"IPv4 no route", "203.0.113.9", 3, 0, 0},
		{"IPv6 no route", "2001:db8:3::9", 1, 0, 0},
		{"IPv4 prohibited", "198.18.1.9", 3, 13, 0},
		{"IPv6 prohibited", "2001:db8:31::9", 1, 1, 0},
		{"IPv4 unreachable", "198.18.2.9", 3, 1, 0},
		{"IPv4 too big", serverV4.String(), 3, 4, 1400},
		{"IPv6 too big", serverV6.String(), 2, 0, 1400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			client, server := clientV4, netip.MustParseAddr(tt.server)
			if server.Is6() {
				client = clientV6
			}
			query := tuntest.UDP{
				Src: netip.AddrPortFrom(client, 5353), Dst: netip.AddrPortFrom(server, 53),
				Payload: make([]byte, 1450), IP: tuntest.IP{DF: true},
			}
			request := echo(client, server, 1, 1, make([]byte, 1450))
			request.IP.DF = true
			before := router.stats.DropSend.Load()
			for i, b := range [][]byte{query.Packet(), request.Packet()} {
				router.host.MustSend(t, tuntest.Frame{Data: bytes.Clone(b)})
				m := router.receiveICMP(t)
				if m.Type != tt.typ || m.Code != tt.code || m.Rest != tt.rest || m.From != server {
					t.Errorf("ICMP error %+v, want %+v", m, tt)
				}
				if !bytes.HasPrefix(b, m.quote) || len(m.quote) < 48 {
					t.Errorf("quotes %x of %x", m.quote, b)
				}
				if n := router.stats.DropSend.Load() - before; n != uint64(1+i) {
					t.Errorf("counted %d, want %d", n, 1+i)
				}
			}
		})
	}
	router.wantNoAnswer(t)
}

// TestHopsAreReal: the router itself is no hop. A hop limit that the client counts down reaches the
// network, and the network's errors reach the client, with the hop limit that they have left.
//
//	client ── NAT ── Lab.Client ──1── Lab.Router ──2── Lab.Server
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
		from                netip.Addr
		typ, code, hopLimit byte
	}
	addr := netip.MustParseAddr
	hop4, hop6 := addr("192.0.2.1"), addr("2001:db8:1::1")
	end4, end6 := addr(tuntest.ServerAddr4), addr(tuntest.ServerAddr6)
	void4, void6 := addr("203.0.113.130"), addr("2001:db8:3:1::5")
	tests := []struct {
		name   string
		server netip.Addr
		ttl    uint8
		echo   answer // to an echo request
		udp    answer // to a datagram to a closed port
	}{
		{"IPv4 first hop", end4, 1, answer{hop4, 11, 0, 64}, answer{hop4, 11, 0, 64}},
		{"IPv4 far end", end4, 2, answer{end4, 0, 0, 63}, answer{end4, 3, 3, 63}},
		{"IPv4 first hop again", end4, 1, answer{hop4, 11, 0, 64}, answer{hop4, 11, 0, 64}},
		{"IPv4 unreachable", void4, 64, answer{hop4, 3, 1, 64}, answer{hop4, 3, 1, 64}},
		{"IPv6 first hop", end6, 1, answer{hop6, 3, 0, 64}, answer{hop6, 3, 0, 64}},
		{"IPv6 far end", end6, 2, answer{end6, 129, 0, 63}, answer{end6, 1, 4, 63}},
		{"IPv6 unreachable", void6, 64, answer{hop6, 1, 0, 64}, answer{hop6, 1, 0, 64}},
	}
	echoSockets(t, func(t *testing.T, pingSockets bool) {
		router := routerIn(t, lab.Client, pingSockets, dial.Options{})
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				client := clientV4
				if tt.server.Is6() {
					client = addr("2001:db8:9::1")
				}
				request := echo(client, tt.server, 1, 1, []byte("0123456789"))
				probe := tuntest.UDP{
					Src: netip.AddrPortFrom(client, 5353),
					Dst: netip.AddrPortFrom(tt.server, 33434), Payload: []byte("0123456789"),
				}
				request.IP.TTL, probe.IP.TTL = tt.ttl, tt.ttl
				for _, p := range []struct {
					packet []byte
					want   answer
				}{{request.Packet(), tt.echo}, {probe.Packet(), tt.udp}} {
					router.host.MustSend(t, tuntest.Frame{Data: bytes.Clone(p.packet)})
					m := router.receiveICMP(t)
					have := answer{m.From, m.Type, m.Code, m.hopLimit}
					if have != p.want || m.addressee != client {
						t.Errorf("%v to %s, want %v to %s", have, m.addressee, p.want, client)
					}
					if m.Type != packet.ICMPEchoReply && m.Type != packet.ICMPv6EchoReply {
						checkQuote(t, m.quote, p.packet)
					}
				}
			})
		}
	})
}

// checkQuote compares the fields that tell one packet from another: addresses, ports, identifier,
// sequence number, payload.
func checkQuote(t *testing.T, quote, sent []byte) {
	t.Helper()
	h, got := parse(t, quote)
	s, want := parse(t, sent)
	if h.Src(quote) != s.Src(sent) || h.Dst(quote) != s.Dst(sent) || h.Proto != s.Proto {
		t.Errorf("quotes a packet from %s to %s, want %s to %s",
			h.Src(quote), h.Dst(quote), s.Src(sent), s.Dst(sent))
	}
	checksumAt := 6 // of UDP; the error queue does not tell it
	if s.Proto != packet.ProtoUDP {
		checksumAt = 2
	}
	got, want = bytes.Clone(got), bytes.Clone(want)
	binary.BigEndian.PutUint16(got[checksumAt:], 0)
	binary.BigEndian.PutUint16(want[checksumAt:], 0)
	if !bytes.Equal(got, want) {
		t.Errorf("quotes %x, want %x", got, want)
	}
}

// TestPathMTUIsTold: a client that forbids fragments gets the path MTU from the router of the
// network that knows it; for others the host fragments, and the network.
//
//	client ── NAT ── Lab.Client ──1500── Lab.Router ──1300── Lab.Server
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
		}{
			{"198.51.100.77", tuntest.ServerAddr4, "192.0.2.1", 3, 4},
			{"2001:db8:9::1", tuntest.ServerAddr6, "2001:db8:1::1", 2, 0},
		} {
			client, server := netip.MustParseAddr(tt.client), netip.MustParseAddr(tt.server)
			far := listenIn(lab.Server, tt.server, "0")
			query := tuntest.UDP{
				Src: netip.AddrPortFrom(client, 5353), Dst: netip.AddrPortFrom(server, tuntest.PortOf(far)),
				Payload: randomBytes(1400), IP: tuntest.IP{DF: true},
			}
			request := echo(client, server, 1, 1, randomBytes(1400))
			request.IP.DF = true
			for range 2 { // the host's knowledge from the first does not matter
				for _, b := range [][]byte{query.Packet(), request.Packet()} {
					router.host.MustSend(t, tuntest.Frame{Data: bytes.Clone(b)})
					m := router.receiveICMP(t)
					if m.Type != tt.typ || m.Code != tt.code || m.Rest != pathMTU ||
						m.From.String() != tt.teller {
						t.Errorf("ICMP error %+v, want type %d, code %d and MTU %d of %s",
							m, tt.typ, tt.code, pathMTU, tt.teller)
					}
					var h packet.Headers
					h.Parse(m.quote, packet.AnyLength)
					if h.Dst(m.quote) != server || h.Src(m.quote) != client {
						t.Errorf("quotes %x", m.quote)
					}
				}
			}
			// Without DF, or fragmented by the client, they arrive.
			query.IP.DF, request.IP.DF = false, false
			router.reassembled.Store(true)
			router.host.MustSend(t, tuntest.Frame{Data: query.Packet()})
			wantDatagrams(t, far, query.Payload, 1400)
			router.host.MustSend(t, tuntest.Frame{Data: request.Packet()})
			if got := router.host.MustReceive(t).Data; !bytes.HasSuffix(got, request.Payload) {
				t.Errorf("answer %.60x, want an echo", got)
			}
			router.reassembled.Store(false)
		}
		router.wantNoAnswer(t)
	})
}
