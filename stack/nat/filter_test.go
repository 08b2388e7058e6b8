//go:build linux

package nat

import (
	"bytes"
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"syntap/stack/dial"
	"syntap/stack/nat/hostsock"
	"syntap/stack/nat/mappings"
	tunflow "syntap/tun/flow"
	"syntap/tun/tuntest"
)

// TestUDPIsEndpointIndependent: all destinations see one endpoint, and every host out there may
// send to it, but no program of this host (RFC 4787 §4.1, §5).
func TestUDPIsEndpointIndependent(t *testing.T) {
	lab := tuntest.NewLab(t)
	denied := netip.MustParsePrefix("198.51.100.2/32")
	policy := dial.Policy{Deny: []netip.Prefix{denied}}
	router := routerIn(t, lab.Router, true, dial.Options{Policy: policy})
	for _, tt := range []struct{ client, server, host, denied string }{
		{"198.18.0.1", tuntest.ServerAddr4, tuntest.RouterAddr4, denied.Addr().String()},
		{"2001:db8:9::1", tuntest.ServerAddr6, tuntest.RouterAddr6, ""},
	} {
		client := netip.AddrPortFrom(netip.MustParseAddr(tt.client), 5353)
		serverAddr := netip.MustParseAddr(tt.server)
		far, other := listenIn(lab.Server, tt.server, "0"), listenIn(lab.Server, tt.server, "0")
		stranger := listenIn(lab.Server, tt.server, "0")
		seen := router.host.Exchange(t, client, netip.AddrPortFrom(serverAddr, tuntest.PortOf(far)), far)
		again := router.host.Exchange(t, client, netip.AddrPortFrom(serverAddr, tuntest.PortOf(other)), other)
		if again != seen {
			t.Errorf("two destinations see %s and %s", seen, again)
		}
		if seen.Addr() != netip.MustParseAddr(tt.host) {
			t.Errorf("destinations see %s, want the host's %s", seen, tt.host)
		}
		uninvited := []*net.UDPConn{
			listenIn(lab.Router, tt.host, "0"), listenIn(lab.Router, "", "0"),
		}
		if tt.denied != "" {
			uninvited = append(uninvited, listenIn(lab.Server, tt.denied, "0"))
		}
		before := router.stats.DropUninvited.Load()
		for _, c := range append(uninvited, stranger) {
			if _, err := c.WriteToUDPAddrPort([]byte(c.LocalAddr().String()), seen); err != nil {
				t.Fatal(err)
			}
		}
		from, to, got := router.receiveUDP(t)
		want := stranger.LocalAddr().(*net.UDPAddr).AddrPort()
		if from != want || to != client || string(got[0]) != want.String() {
			t.Errorf("%q came from %s to %s, want it from %s to %s", got, from, to, want, client)
		}
		tuntest.Wait(t, "uninvited datagrams dropped", func() bool { // by another way to the socket
			return router.stats.DropUninvited.Load()-before == uint64(len(uninvited))
		})
	}
	router.wantNoAnswer(t)
}

// TestUDPSourcePort: a client's port stays free for the host's services. A system port is kept, or
// replaced by another.
func TestUDPSourcePort(t *testing.T) {
	ns := tuntest.NewNamespace(t)
	ns.AddAddress("lo", clientV4.Next().String()+"/32")
	ns.AddAddress("lo", clientV6.Next().String()+"/128")
	router := routerIn(t, ns, true, dial.Options{Redirect: tuntest.ToLoopback})
	for _, tt := range []struct {
		client, server netip.Addr
		loopback       string
	}{{clientV4, serverV4, "127.0.0.1"}, {clientV6, serverV6, "::1"}} {
		far := listenIn(ns, tt.loopback, "0")
		server := netip.AddrPortFrom(tt.server, tuntest.PortOf(far))
		seenPort := func(client netip.Addr, port uint16) uint16 {
			t.Helper()
			return router.host.Exchange(t, netip.AddrPortFrom(client, port), server, far).Port()
		}
		seenPort(tt.client, 8125)
		listenIn(ns, tt.loopback, "8125")
		if port := seenPort(tt.client, 500); port != 500 {
			t.Errorf("far end sees port %d, want the client's 500", port)
		}
		if port := seenPort(tt.client.Next().Next(), 500); port == 500 || port >= 1024 {
			t.Errorf("far end sees port %d, want another below 1024, since 500 is taken", port)
		}
		// The port of a client on this host is taken, too.
		if port := seenPort(tt.client.Next(), 501); port == 501 || port >= 1024 {
			t.Errorf("far end sees port %d, want one below 1024 other than 501", port)
		}
	}
}

// TestAddressGone: where the host loses the address of a mapping's socket, the client's next
// datagram leaves from another one.
func TestAddressGone(t *testing.T) {
	lab := tuntest.NewLab(t)
	router := routerIn(t, lab.Client, true, dial.Options{})
	far := listenIn(lab.Server, tuntest.ServerAddr4, "0")
	client := netip.AddrPortFrom(clientV4, 5353)
	server := netip.AddrPortFrom(netip.MustParseAddr(tuntest.ServerAddr4), tuntest.PortOf(far))
	seen := router.host.Exchange(t, client, server, far)
	if seen.Addr().String() != tuntest.ClientAddr4 {
		t.Fatalf("far end sees %s", seen)
	}
	lab.Client.Sysctl("net.ipv4.conf.all.promote_secondaries", "1")
	lab.Client.Run("ip", "addr", "add", "192.0.2.3/24", "dev", "eth0")
	lab.Client.Run("ip", "addr", "del", tuntest.ClientAddr4+"/24", "dev", "eth0")
	seen = router.host.Exchange(t, client, server, far)
	if seen.Addr().String() != "192.0.2.3" {
		t.Errorf("far end sees %s, want the host's new address", seen)
	}
	if n := router.stats.DropSend.Load(); n != 0 {
		t.Errorf("%d datagrams lost", n)
	}
}

// TestAddressGoneBeforeRecord: where the host loses the address of a mapping's socket while a
// datagram waits for the record of its flow, the datagram leaves from another address, on record
// once more.
func TestAddressGoneBeforeRecord(t *testing.T) {
	lab := tuntest.NewLab(t)
	log := newTestLog(false)
	link, host := tuntest.NewPipe(1500)
	router := newRouter(t, link, dial.Options{}, log.options(Options{}))
	router.host, log.nat = host, router.NAT
	defer router.heldRoutes.Close()
	inside := func(f func()) {
		if err := lab.Client.Do(func() error { f(); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	far := listenIn(lab.Server, tuntest.ServerAddr4, "0")
	server := netip.AddrPortFrom(netip.MustParseAddr(tuntest.ServerAddr4), tuntest.PortOf(far))
	first := datagram(netip.AddrPortFrom(clientV4, 5353), server, []byte("first"))
	inside(func() { router.route(tuntest.Frame{Data: first}) })
	lab.Client.Sysctl("net.ipv4.conf.all.promote_secondaries", "1")
	lab.Client.Run("ip", "addr", "add", "192.0.2.3/24", "dev", "eth0")
	lab.Client.Run("ip", "addr", "del", tuntest.ClientAddr4+"/24", "dev", "eth0")
	for n := range 2 {
		router.Recorded(log.await(t, n+1)[n])
		inside(func() { router.recorder.Turn() })
	}
	if seen := wantNext(t, far, "first"); seen.Addr().String() != "192.0.2.3" {
		t.Errorf("far end sees %s, want the host's new address", seen)
	}
	if n := router.stats.DropSend.Load(); n != 0 {
		t.Errorf("%d datagrams lost", n)
	}
	router.stop()
	for i, f := range log.ends(t) {
		if f == nil || f.OutboundPackets != uint64(i) {
			t.Errorf("end of opening %d: %+v, want %d packets", i, f, i)
		}
	}
}

// TestKeepSource: the sockets of some clients have the client's address.
func TestKeepSource(t *testing.T) {
	ns := tuntest.NewNamespace(t)
	ns.AddAddress("lo", "198.51.100.7/32")
	own := netip.MustParseAddr("198.51.100.7")
	link, host := tuntest.NewPipe(1500)
	router := newRouter(t, link, dial.Options{Redirect: tuntest.ToLoopback}, Options{
		KeepSource: func(client netip.Addr) bool { return client == own },
	})
	router.host = host
	router.run(t, ns.Do)
	far := listenIn(ns, "127.0.0.1", "0")
	server := netip.AddrPortFrom(serverV4, tuntest.PortOf(far))
	if seen := router.host.Exchange(t, netip.AddrPortFrom(own, 5353), server, far); seen.Addr() != own {
		t.Errorf("far end sees %s, want the client's address", seen)
	}
	other := netip.AddrPortFrom(clientV4, 5353)
	seen := router.host.Exchange(t, other, server, far).Addr()
	if seen == clientV4 || seen == own {
		t.Errorf("far end sees %s of another client", seen)
	}
}

func TestDeniedIsProhibited(t *testing.T) {
	for _, tt := range []struct {
		name           string
		client, server string
		typ, code      uint8
	}{
		{"IPv4", "198.51.100.1:5353", "203.0.113.9:53", 3, 13},
		{"IPv6", "[2001:db8:1::1]:5353", "[2001:db8:3::9]:53", 1, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var denied []netip.Addr
			link, host := tuntest.NewPipe(1500)
			router := newRouter(t, link, dial.Options{Policy: dial.Policy{Deny: []netip.Prefix{
				netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("2001:db8:3::/48"),
			}}}, Options{Denied: func(server netip.Addr, _ *tunflow.Decision) { denied = append(denied, server) }})
			router.host = host
			client, server := netip.MustParseAddrPort(tt.client), netip.MustParseAddrPort(tt.server)
			for _, b := range [][]byte{
				datagram(client, server, nil),
				echo(client.Addr(), server.Addr(), 1, 1, nil).Packet(),
			} {
				router.route(tuntest.Frame{Data: b})
				m := router.receiveICMP(t)
				if m.Type != tt.typ || m.Code != tt.code || m.From != server.Addr() ||
					m.addressee != client.Addr() || !bytes.Equal(m.quote, b) {
					t.Errorf("ICMP %+v, want type %d, code %d and %x", m, tt.typ, tt.code, b)
				}
			}
			if len(denied) != 2 || denied[0] != server.Addr() {
				t.Errorf("reported %v, want %s twice", denied, server.Addr())
			}
			if n := router.stats.DropDenied.Load(); n != 2 {
				t.Errorf("counted %d, want 2", n)
			}
		})
	}
}

// TestSources: a client that may not send gets no answer.
func TestSources(t *testing.T) {
	sources := func(a netip.Addr) bool {
		return a == clientV4 || a == clientV6 ||
			!netip.MustParsePrefix("198.51.100.0/24").Contains(a)
	}
	far := tuntest.ListenUDP(t, "127.0.0.1:0")
	router := startRouter(t, Options{Sources: sources}, dial.Policy{})
	tests := []string{
		"198.51.100.2", "127.0.0.1", "0.1.2.3", "240.0.0.9", "::1", "::ffff:203.0.113.1",
	}
	for _, tt := range tests {
		client, server := netip.MustParseAddr(tt), serverV4
		if client.Is6() {
			server = serverV6
		}
		src, dst := netip.AddrPortFrom(client, 5353), netip.AddrPortFrom(server, tuntest.PortOf(far))
		router.host.MustSend(t, tuntest.Frame{Data: datagram(src, dst, nil)})
		router.host.MustSend(t, tuntest.Frame{Data: echo(client, server, 1, 1, nil).Packet()})
	}
	tuntest.Wait(t, "all dropped", func() bool {
		return router.stats.DropSource.Load() == uint64(2*len(tests))
	})
	router.wantNoAnswer(t)
	client, server := netip.AddrPortFrom(clientV4, 5353), netip.AddrPortFrom(serverV4, tuntest.PortOf(far))
	router.host.Exchange(t, client, server, far)
}

// TestLinkScopeIsIgnored: packets that do not leave their link are no error, and get no answer.
func TestLinkScopeIsIgnored(t *testing.T) {
	router := startRouter(t, Options{}, dial.Policy{})
	tests := []struct{ name, client, server string }{
		{"mDNS", "198.51.100.1:5353", "224.0.0.251:5353"},
		{"SSDP", "198.51.100.1:40000", "239.255.255.250:1900"},
		{"DHCP", "0.0.0.0:68", "255.255.255.255:67"},
		{"DHCP renewal without address", "0.0.0.0:68", "192.0.2.1:67"},
		{"mDNS over IPv6", "[fe80::1]:5353", "[ff02::fb]:5353"},
		{"DHCPv6", "[fe80::1]:546", "[ff02::1:2]:547"},
		{"link-local", "[2001:db8:1::1]:5353", "[fe80::2]:53"},
		{"IPv4-mapped multicast", "[2001:db8:1::1]:5353", "[::ffff:224.0.0.251]:5353"},
	}
	for _, tt := range tests {
		client, server := netip.MustParseAddrPort(tt.client), netip.MustParseAddrPort(tt.server)
		router.host.MustSend(t, tuntest.Frame{Data: datagram(client, server, nil)})
	}
	tuntest.Wait(t, "all ignored", func() bool {
		return router.stats.DropLinkScope.Load() == uint64(len(tests))
	})
	router.wantNoAnswer(t)
	if n := router.stats.UDP.Load(); n != 0 {
		t.Errorf("mappings: %d", n)
	}
}

// TestOwnSockets: where the host's rules fail, a packet of one of our sockets comes back in the
// TUN. It must not open another socket.
func TestOwnSockets(t *testing.T) {
	ns := tuntest.NewNamespace(t)
	ns.AddAddress("lo", "203.0.113.7/32")
	local := netip.MustParseAddr("203.0.113.7")
	router := routerIn(t, ns, true, dial.Options{})
	request := func(src netip.AddrPort) []byte {
		r := echo(src.Addr(), local, 0, 1, nil)
		r.Rest[0], r.Rest[1] = byte(src.Port()>>8), byte(src.Port())
		return r.Packet()
	}
	query := func(src netip.AddrPort) []byte {
		return datagram(src, netip.AddrPortFrom(local, 9), []byte("x"))
	}
	for i, of := range []func(netip.AddrPort) []byte{query, request} {
		client := netip.AddrPortFrom(clientV4, 5000)
		router.host.MustSend(t, tuntest.Frame{Data: of(client)})
		k := mappings.Key{Client: mappings.Endpoint{AddrPort: client, Echo: i == 1}, Local: local}
		var m *mapping
		tuntest.Wait(t, "a mapping", func() bool { m = router.mappingAt(k); return m != nil })
		router.host.MustSend(t, tuntest.Frame{Data: of(m.Own)})
		tuntest.Wait(t, "dropped", func() bool {
			return router.stats.DropOwnSocket.Load() == uint64(1+i)
		})
	}
}

// mappingAt returns the mapping with a key, or nil.
func (r *testRouter) mappingAt(k mappings.Key) *mapping {
	for _, m := range r.table.Of(k.Client) {
		if m := m.(*mapping); m.Key == k {
			return m
		}
	}
	return nil
}

// TestWithoutDescriptors: without a free descriptor there is no answer, least of all a false one.
func TestWithoutDescriptors(t *testing.T) {
	far := tuntest.ListenUDP(t, "127.0.0.1:0")
	router := startRouter(t, Options{}, dial.Policy{})
	client, server := netip.AddrPortFrom(clientV4, 5353), netip.AddrPortFrom(serverV4, tuntest.PortOf(far))
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	none := limit
	none.Cur = 3
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	restore := func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
	}
	defer restore()
	router.host.MustSend(t, tuntest.Frame{Data: datagram(client, server, nil)})
	tuntest.Wait(t, "failure reported", func() bool { return len(router.localFailures()) == 1 })
	restore()
	if errno := hostsock.Errno(router.localFailures()[0]); errno != unix.EMFILE {
		t.Errorf("reported %v, want EMFILE", errno)
	}
	router.host.Exchange(t, client, server, far)
	router.wantNoAnswer(t)
}
