//go:build linux

package stack

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"syntap/stack/dial"
	"syntap/tun"
	"syntap/tun/packet"
	"syntap/tun/tuntest"
)

// udpFamilies runs a test over IPv4 and IPv6. loopback is where server's datagrams end up.
func udpFamilies(t *testing.T, test func(t *testing.T, client, server netip.Addr, loopback string)) {
	t.Run("IPv4", func(t *testing.T) { test(t, clientV4, serverV4, "127.0.0.1:0") })
	t.Run("IPv6", func(t *testing.T) { test(t, clientV6, serverV6, "[::1]:0") })
}

func listenUDP(t *testing.T, address string) *net.UDPConn {
	t.Helper()
	c, err := net.ListenPacket("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c.(*net.UDPConn)
}

func portOf(c *net.UDPConn) uint16 { return uint16(c.LocalAddr().(*net.UDPAddr).Port) }

func (r *testRouter) send(t *testing.T, f tuntest.Frame) {
	t.Helper()
	if err := r.host.Send(f); err != nil {
		t.Fatal(err)
	}
}

func (r *testRouter) receive(t *testing.T) tuntest.Frame {
	t.Helper()
	f, ok := r.host.Receive(patience)
	if !ok {
		t.Fatal("nothing came to the client")
	}
	return f
}

// wantNoAnswer fails the test if something has come to the client.
func (r *testRouter) wantNoAnswer(t *testing.T) {
	t.Helper()
	r.writeInbound(tun.Offload{}, []byte("the end"))
	for f := r.receive(t); string(f.Data) != "the end"; f = r.receive(t) {
		t.Errorf("answered: %x", f.Data)
	}
}

// receiveUDP returns the datagram that comes to the client next, or each of a super-frame, after
// checking its headers.
func (r *testRouter) receiveUDP(t *testing.T) (from, to netip.AddrPort, payloads [][]byte) {
	t.Helper()
	return parseUDP(t, r.receive(t))
}

func parseUDP(t *testing.T, f tuntest.Frame) (from, to netip.AddrPort, payloads [][]byte) {
	t.Helper()
	var ip ipHeader
	if !ip.parse(f.Data, len(f.Data)) || ip.total != len(f.Data) || ip.proto != protoUDP {
		t.Fatalf("no UDP packet: %x", f.Data)
	}
	u := f.Data[ip.len:]
	if n := int(binary.BigEndian.Uint16(u[4:])); n != len(u) {
		t.Errorf("UDP length %d in a message of %d bytes", n, len(u))
	}
	want := tun.Offload{Flags: tun.NeedsCsum, CsumStart: uint16(ip.len), CsumOffset: 6}
	segment := int(f.Offload.GSOSize)
	if f.Offload.GSO != tun.GSONone {
		want.GSO, want.GSOSize, want.HdrLen = tun.GSOUDP, uint16(segment), uint16(ip.len+udpHeaderLen)
	}
	if diff := cmp.Diff(want, f.Offload); diff != "" {
		t.Errorf("offload (-want +got):\n%s", diff)
	}
	// What the kernel does with the frame: finish the checksum.
	binary.BigEndian.PutUint16(u[6:], ^packet.Checksum(u, 0))
	if err := tuntest.VerifyChecksums(f.Data); err != nil {
		t.Error(err)
	}
	payload := u[udpHeaderLen:]
	for segment > 0 && len(payload) > segment {
		payloads = append(payloads, payload[:segment])
		payload = payload[segment:]
	}
	return ip.src(f.Data, u), ip.dst(f.Data, u), append(payloads, payload)
}

func TestUDPRoundTrip(t *testing.T) {
	udpFamilies(t, func(t *testing.T, clientAddr, serverAddr netip.Addr, loopback string) {
		far := listenUDP(t, loopback)
		router := startRouter(t, Options{}, dial.Policy{})
		client, server := netip.AddrPortFrom(clientAddr, 5353), netip.AddrPortFrom(serverAddr, portOf(far))
		for _, size := range []int{0, 1, 80, 100, 1472, 4000, 65000} {
			want := randomBytes(size)
			router.send(t, tuntest.Frame{Data: tuntest.UDP{Src: client, Dst: server, Payload: want}.Packet()})
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
				t.Errorf("%d bytes: %d datagrams came back from %s to %s", size, len(got), from, to)
			}
		}
		if n := router.stats.UDPFlows.Load(); n != 1 {
			t.Errorf("flows: %d, want 1", n)
		}
		router.stop()
		if n := router.stats.UDPFlows.Load(); n != 0 {
			t.Errorf("flows after the end: %d", n)
		}
	})
}

// exchange sends one datagram of the client's and waits for it; it returns whom the far end saw.
func (r *testRouter) exchange(t *testing.T, client, server netip.AddrPort, far *net.UDPConn) (seen netip.AddrPort) {
	t.Helper()
	r.send(t, tuntest.Frame{Data: tuntest.UDP{Src: client, Dst: server, Payload: []byte("question")}.Packet()})
	b := make([]byte, 100)
	n, seen, err := far.ReadFromUDPAddrPort(b)
	if err != nil || string(b[:n]) != "question" {
		t.Fatalf("far end got %q, %v", b[:n], err)
	}
	return seen
}

func TestUDPSuperFrameOutbound(t *testing.T) {
	udpFamilies(t, func(t *testing.T, clientAddr, serverAddr netip.Addr, loopback string) {
		far := listenUDP(t, loopback)
		router := startRouter(t, Options{}, dial.Policy{})
		packet := tuntest.UDP{Src: netip.AddrPortFrom(clientAddr, 5353), Dst: netip.AddrPortFrom(serverAddr, portOf(far)), Payload: randomBytes(40*1200 + 7)}.Packet()
		router.send(t, tuntest.Offloaded(packet, 1200))
		wantDatagrams(t, far, randomBytes(40*1200+7), 1200)
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

// A path whose packets are smaller than the client's: the kernel refuses to cut super-frames so.
func TestUDPSuperFrameBeyondPathMTU(t *testing.T) {
	ns := tuntest.NewNamespace(t)
	if err := ns.Netlink.LinkSetMTU(ns.Link("lo"), 1280); err != nil {
		t.Fatal(err)
	}
	link, host := tuntest.NewPipe(1500)
	s, err := New(link, dial.New(dial.Options{Redirect: toLoopback}), Options{})
	if err != nil {
		t.Fatal(err)
	}
	router := runRouter(t, s, host, ns.Do)
	far := ns.ListenPacket("udp", "127.0.0.1:0").(*net.UDPConn)
	_ = far.SetDeadline(time.Now().Add(patience))
	for range 2 {
		packet := tuntest.UDP{Src: netip.AddrPortFrom(clientV4, 5353), Dst: netip.AddrPortFrom(serverV4, portOf(far)), Payload: randomBytes(4*1400 + 7)}.Packet()
		router.send(t, tuntest.Offloaded(packet, 1400))
		wantDatagrams(t, far, randomBytes(4*1400+7), 1400)
	}
}

func TestUDPSuperFrameInbound(t *testing.T) {
	udpFamilies(t, func(t *testing.T, clientAddr, serverAddr netip.Addr, loopback string) {
		far := listenUDP(t, loopback)
		router := startRouter(t, Options{}, dial.Policy{})
		server := netip.AddrPortFrom(serverAddr, portOf(far))
		seen := router.exchange(t, netip.AddrPortFrom(clientAddr, 5353), server, far)
		want := randomBytes(40*1200 + 7)
		sendSuperFrame(t, far, seen, want, 1200)

		from, _, got := router.receiveUDP(t)
		if from != server || len(got) != 41 || !bytes.Equal(slices.Concat(got...), want) {
			t.Errorf("a frame of %d datagrams from %s, want 41 from %s", len(got), from, server)
		}
	})
}

func sendSuperFrame(t *testing.T, c *net.UDPConn, to netip.AddrPort, payload []byte, size uint16) {
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

// Datagrams longer than the link's packets go one by one, and without DF: a host that forwards them
// may have to fragment.
func TestUDPSuperFrameInboundOfLongDatagrams(t *testing.T) {
	far := listenUDP(t, "127.0.0.1:0")
	router := startRouter(t, Options{}, dial.Policy{})
	seen := router.exchange(t, netip.AddrPortFrom(clientV4, 5353), netip.AddrPortFrom(serverV4, portOf(far)), far)
	sendSuperFrame(t, far, seen, randomBytes(3500), 2000)
	ids := map[uint16]bool{}
	for _, want := range []int{2000, 1500} {
		f := router.receive(t)
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

func TestUDPSuperFrameInboundWithoutUSO(t *testing.T) {
	udpFamilies(t, func(t *testing.T, clientAddr, serverAddr netip.Addr, loopback string) {
		far := listenUDP(t, loopback)
		link, host := tuntest.NewPipe(1500)
		s, err := New(withoutUSO{link}, dial.New(dial.Options{Redirect: toLoopback}), Options{})
		if err != nil {
			t.Fatal(err)
		}
		router := runRouter(t, s, host, func(run func() error) error { return run() })
		seen := router.exchange(t, netip.AddrPortFrom(clientAddr, 5353), netip.AddrPortFrom(serverAddr, portOf(far)), far)
		want := randomBytes(40*1200 + 7)
		sendSuperFrame(t, far, seen, want, 1200)
		for piece := range slices.Chunk(want, 1200) {
			if _, _, got := router.receiveUDP(t); len(got) != 1 || !bytes.Equal(got[0], piece) {
				t.Fatalf("%d datagrams, want one of %d bytes", len(got), len(piece))
			}
		}
	})
}

// RFC 4787 §4.1 and §5: all destinations see one endpoint, and anybody out there may send to it,
// but nobody on this host.
func TestUDPIsEndpointIndependent(t *testing.T) {
	lab := tuntest.NewLab(t)
	denied := netip.MustParsePrefix("198.51.100.2/32")
	router := routerIn(t, lab.Router, true, dial.Options{Policy: dial.Policy{Deny: []netip.Prefix{denied}}})
	for _, tt := range []struct{ client, server, host, denied string }{
		{"198.18.0.1", tuntest.ServerAddr4, tuntest.RouterAddr4, denied.Addr().String()},
		{"2001:db8:9::1", tuntest.ServerAddr6, tuntest.RouterAddr6, ""},
	} {
		listen := func(ns *tuntest.Namespace, address string) *net.UDPConn {
			c := ns.ListenPacket("udp", net.JoinHostPort(address, "0")).(*net.UDPConn)
			_ = c.SetDeadline(time.Now().Add(patience))
			return c
		}
		client := netip.AddrPortFrom(netip.MustParseAddr(tt.client), 5353)
		far, other, stranger := listen(lab.Server, tt.server), listen(lab.Server, tt.server), listen(lab.Server, tt.server)
		seen := router.exchange(t, client, netip.AddrPortFrom(netip.MustParseAddr(tt.server), portOf(far)), far)
		if again := router.exchange(t, client, netip.AddrPortFrom(netip.MustParseAddr(tt.server), portOf(other)), other); again != seen {
			t.Errorf("two destinations see %s and %s", seen, again)
		}
		if seen.Addr() != netip.MustParseAddr(tt.host) {
			t.Errorf("destinations see %s, want the host's %s", seen, tt.host)
		}
		uninvited := []*net.UDPConn{listen(lab.Router, tt.host), listen(lab.Router, "")}
		if tt.denied != "" {
			uninvited = append(uninvited, listen(lab.Server, tt.denied))
		}
		before := router.stats.DropUninvited.Load()
		for _, c := range append(uninvited, stranger) {
			if _, err := c.WriteToUDPAddrPort([]byte(c.LocalAddr().String()), seen); err != nil {
				t.Fatal(err)
			}
		}
		from, to, got := router.receiveUDP(t)
		if want := stranger.LocalAddr().(*net.UDPAddr).AddrPort(); from != want || to != client || string(got[0]) != want.String() {
			t.Errorf("%q came from %s to %s, want it from %s to %s", got, from, to, want, client)
		}
		if n := router.stats.DropUninvited.Load() - before; n != uint64(len(uninvited)) {
			t.Errorf("%d datagrams dropped, want those of the host and of where the client may not send, %d", n, len(uninvited))
		}
	}
	router.wantNoAnswer(t)
}

// A client's port stays free for the host's services. Those that only root has are kept, or
// replaced by another.
func TestUDPSourcePort(t *testing.T) {
	ns := tuntest.NewNamespace(t)
	ns.AddAddress("lo", clientV4.Next().String()+"/32")
	ns.AddAddress("lo", clientV6.Next().String()+"/128")
	router := routerIn(t, ns, true, dial.Options{Redirect: toLoopback})
	for _, tt := range []struct {
		client, server netip.Addr
		loopback       string
	}{{clientV4, serverV4, "127.0.0.1"}, {clientV6, serverV6, "::1"}} {
		listen := func(port string) *net.UDPConn {
			c := ns.ListenPacket("udp", net.JoinHostPort(tt.loopback, port)).(*net.UDPConn)
			_ = c.SetDeadline(time.Now().Add(patience))
			return c
		}
		far := listen("0")
		server := netip.AddrPortFrom(tt.server, portOf(far))
		router.exchange(t, netip.AddrPortFrom(tt.client, 8125), server, far)
		listen("8125")
		if seen := router.exchange(t, netip.AddrPortFrom(tt.client, 500), server, far); seen.Port() != 500 {
			t.Errorf("far end sees port %d, want the client's 500", seen.Port())
		}
		if seen := router.exchange(t, netip.AddrPortFrom(tt.client.Next().Next(), 500), server, far); seen.Port() == 500 || seen.Port() >= 1024 {
			t.Errorf("far end sees port %d, want one below %d other than 500, which is taken", seen.Port(), 1024)
		}
		// The port of a client on this host is taken, too.
		onHost := tt.client.Next()
		if seen := router.exchange(t, netip.AddrPortFrom(onHost, 501), server, far); seen.Port() == 501 || seen.Port() >= 1024 {
			t.Errorf("far end sees port %d, want one below %d other than 501", seen.Port(), 1024)
		}
	}
}

// closedPort returns a port of the loopback that nobody listens on.
func closedPort(t *testing.T, loopback string) uint16 {
	t.Helper()
	c := listenUDP(t, loopback)
	_ = c.Close()
	return portOf(c)
}

func TestUDPRefusedIsPortUnreachable(t *testing.T) {
	for _, tt := range []struct {
		name           string
		client, server netip.Addr
		loopback       string
		icmpAt         int
		typ, code      byte
	}{
		{"IPv4", clientV4, serverV4, "127.0.0.1:0", 20, 3, 3},
		{"IPv6", clientV6, serverV6, "[::1]:0", 40, 1, 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			router := startRouter(t, Options{}, dial.Policy{})
			client, server := netip.AddrPortFrom(tt.client, 5353), netip.AddrPortFrom(tt.server, closedPort(t, tt.loopback))
			far := listenUDP(t, tt.loopback)
			for range 3 { // an error must not cost the datagrams that follow it
				router.send(t, tuntest.Frame{Data: tuntest.UDP{Src: client, Dst: server, Payload: []byte("hello")}.Packet()})
				router.exchange(t, client, netip.AddrPortFrom(tt.server, portOf(far)), far)
				got := router.receive(t).Data
				if err := tuntest.VerifyChecksums(got); err != nil {
					t.Error(err)
				}
				m := got[tt.icmpAt:]
				if m[0] != tt.typ || m[1] != tt.code {
					t.Errorf("ICMP type %d code %d, want %d, %d", m[0], m[1], tt.typ, tt.code)
				}
				var ip ipHeader
				if quote := m[8:]; !ip.parse(quote, len(quote)) || ip.src(quote, quote[ip.len:]) != client || ip.dst(quote, quote[ip.len:]) != server {
					t.Errorf("quotes %x, want a packet from %s to %s", quote, client, server)
				}
				if ip.parse(got, len(got)); ip.srcAddr(got) != tt.server || ip.dstAddr(got) != tt.client {
					t.Errorf("comes from %s to %s", ip.srcAddr(got), ip.dstAddr(got))
				}
			}
			if n := router.stats.DropUDPSend.Load(); n != 0 {
				t.Errorf("%d datagrams lost", n)
			}
		})
	}
}

func TestUDPUnroutedIsUnreachable(t *testing.T) {
	for _, tt := range []struct {
		name           string
		client, server string
		icmpAt         int
		want           []byte // type and code
	}{
		{"IPv4", "198.51.100.1:5353", "203.0.113.9:53", 20, []byte{3, 0}},
		{"IPv6", "[2001:db8:1::1]:5353", "[2001:db8:3::9]:53", 40, []byte{1, 0}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ns := tuntest.NewNamespace(t) // with nothing but a loopback
			link, host := tuntest.NewPipe(1500)
			s, err := New(link, dial.New(dial.Options{}), Options{})
			if err != nil {
				t.Fatal(err)
			}
			router := runRouter(t, s, host, ns.Do)
			packet := tuntest.UDP{Src: netip.MustParseAddrPort(tt.client), Dst: netip.MustParseAddrPort(tt.server)}.Packet()
			router.send(t, tuntest.Frame{Data: packet})
			m := router.receive(t).Data[tt.icmpAt:]
			if !bytes.Equal(m[:2], tt.want) || !bytes.Equal(m[8:], packet) {
				t.Errorf("ICMP message %x, want type and code %x and the packet", m, tt.want)
			}
		})
	}
}

func TestUDPDeniedIsProhibited(t *testing.T) {
	router := startRouter(t, Options{}, dial.Policy{Deny: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("2001:db8:3::/48")}})
	for _, tt := range []struct {
		name           string
		client, server string
		icmpAt         int
		want           []byte
	}{
		{"IPv4", "198.51.100.1:5353", "203.0.113.9:53", 20, []byte{3, 13}},
		{"IPv6", "[2001:db8:1::1]:5353", "[2001:db8:3::9]:53", 40, []byte{1, 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			packet := tuntest.UDP{Src: netip.MustParseAddrPort(tt.client), Dst: netip.MustParseAddrPort(tt.server)}.Packet()
			router.send(t, tuntest.Frame{Data: packet})
			if m := router.receive(t).Data[tt.icmpAt:]; !bytes.Equal(m[:2], tt.want) {
				t.Errorf("ICMP message %x, want type and code %x", m, tt.want)
			}
		})
	}
	if n := router.stats.DropDenied.Load(); n != 2 {
		t.Errorf("counted %d, want 2", n)
	}
}

// Whoever may not send is not answered either.
func TestUDPOfOtherSourcesIsDropped(t *testing.T) {
	sources := func(a netip.Addr) bool {
		return a == clientV4 || a == clientV6 || !netip.MustParsePrefix("198.51.100.0/24").Contains(a)
	}
	far := listenUDP(t, "127.0.0.1:0")
	router := startRouter(t, Options{Sources: sources}, dial.Policy{})
	tests := []string{"198.51.100.2", "127.0.0.1", "0.1.2.3", "240.0.0.9", "::1", "::ffff:203.0.113.1"}
	for _, tt := range tests {
		client, server := netip.MustParseAddr(tt), serverV4
		if client.Is6() {
			server = serverV6
		}
		router.send(t, tuntest.Frame{Data: tuntest.UDP{Src: netip.AddrPortFrom(client, 5353), Dst: netip.AddrPortFrom(server, portOf(far))}.Packet()})
		router.send(t, tuntest.Frame{Data: echo(client, server, 1, 1, nil).Packet()})
	}
	eventually(t, "all dropped", func() bool { return router.stats.DropSource.Load() == uint64(2*len(tests)) })
	router.wantNoAnswer(t)
	router.exchange(t, netip.AddrPortFrom(clientV4, 5353), netip.AddrPortFrom(serverV4, portOf(far)), far)
}

// What does not leave its link is no error, and is not answered.
func TestUDPOfLinkScopeIsIgnored(t *testing.T) {
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
		router.send(t, tuntest.Frame{Data: tuntest.UDP{Src: netip.MustParseAddrPort(tt.client), Dst: netip.MustParseAddrPort(tt.server)}.Packet()})
	}
	eventually(t, "all ignored", func() bool { return router.stats.DropLinkScope.Load() == uint64(len(tests)) })
	router.wantNoAnswer(t)
	if n := router.stats.UDPFlows.Load(); n != 0 {
		t.Errorf("flows: %d", n)
	}
}

func TestUDPMalformedIsDropped(t *testing.T) {
	whole := func() []byte {
		return tuntest.UDP{Src: netip.AddrPortFrom(clientV4, 5353), Dst: netip.AddrPortFrom(serverV4, 53), Payload: make([]byte, 2000)}.Packet()
	}
	for _, tt := range []struct {
		name   string
		change func(f *tuntest.Frame)
	}{
		{"length below the header's", func(f *tuntest.Frame) { binary.BigEndian.PutUint16(f.Data[24:], 7) }},
		{"length beyond the packet", func(f *tuntest.Frame) { binary.BigEndian.PutUint16(f.Data[24:], 2009) }},
		{"half a header", func(f *tuntest.Frame) { binary.BigEndian.PutUint16(f.Data[2:], 24); f.Data = f.Data[:24] }},
		{"super-frame of nothing", func(f *tuntest.Frame) { f.Offload.GSO = tun.GSOUDP }},
		{"super-frame of too many", func(f *tuntest.Frame) { f.Offload.GSO, f.Offload.GSOSize = tun.GSOUDP, 15 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			router := startRouter(t, Options{}, dial.Policy{})
			f := tuntest.Offloaded(whole(), 0)
			tt.change(&f)
			router.send(t, f)
			eventually(t, "dropped", func() bool { return router.stats.DropMalformed.Load() == 1 })
		})
	}
	t.Run("checksum", func(t *testing.T) {
		router := startRouter(t, Options{}, dial.Policy{})
		packet := whole()
		packet[500] ^= 1
		router.send(t, tuntest.Frame{Data: packet})
		eventually(t, "dropped", func() bool { return router.stats.DropChecksum.Load() == 1 })
	})
}

func TestUDPIdleFlowsEnd(t *testing.T) {
	far := listenUDP(t, "127.0.0.1:0")
	router := startRouter(t, Options{UDPTimeout: time.Millisecond}, dial.Policy{})
	server := netip.AddrPortFrom(serverV4, portOf(far))
	router.exchange(t, netip.AddrPortFrom(clientV4, 5999), server, far) // opens those that ask for routes
	eventually(t, "its flow gone", func() bool { return router.stats.UDPFlows.Load() == 0 })
	before := openSockets(t)
	for port := range uint16(10) {
		router.exchange(t, netip.AddrPortFrom(clientV4, 6000+port), server, far)
	}
	eventually(t, "all flows gone", func() bool { return router.stats.UDPFlows.Load() == 0 })
	eventually(t, "all sockets closed", func() bool { return openSockets(t) <= before }) // fewer: others have gone, too
}

func openSockets(t *testing.T) (n int) {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range all {
		if what, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && strings.HasPrefix(what, "socket:") {
			n++
		}
	}
	return n
}

func TestUDPFlowsAreBounded(t *testing.T) {
	far := listenUDP(t, "127.0.0.1:0")
	router := startRouter(t, Options{UDPFlows: 3, UDPFlowsPerSource: 4}, dial.Policy{})
	server := netip.AddrPortFrom(serverV4, portOf(far))
	client := func(port uint16) netip.AddrPort { return netip.AddrPortFrom(clientV4, port) }
	answer := func(port uint16) {
		seen := router.exchange(t, client(port), server, far)
		if _, err := far.WriteToUDPAddrPort(nil, seen); err != nil {
			t.Fatal(err)
		}
		router.receiveUDP(t)
	}
	answer(6000)
	router.exchange(t, client(6001), server, far)
	router.exchange(t, client(6002), server, far)
	router.exchange(t, client(6001), server, far)
	router.exchange(t, client(6003), server, far) // takes the place of 6002
	router.nat.table.mu.Lock()
	for _, tt := range []struct {
		port uint16
		want bool
	}{{6000, true}, {6001, true}, {6002, false}, {6003, true}} {
		if _, ok := router.nat.table.byKey[mappingKey{client: client(tt.port), local: netip.MustParseAddr("127.0.0.1")}]; ok != tt.want {
			t.Errorf("client port %d has a mapping: %v, want %v", tt.port, ok, tt.want)
		}
	}
	router.nat.table.mu.Unlock()
	if n := router.stats.EvictedFlows.Load(); n != 1 {
		t.Errorf("evicted: %d, want 1", n)
	}
	answer(6001)
	answer(6003)
	router.send(t, tuntest.Frame{Data: tuntest.UDP{Src: client(6004), Dst: server}.Packet()})
	eventually(t, "refused for want of an unanswered one", func() bool { return router.stats.DropUDPFlows.Load() == 1 })
	if n := router.stats.UDPFlows.Load(); n != 3 {
		t.Errorf("flows: %d, want 3", n)
	}
}

// Without a free descriptor there is no answer, and a false one least of all.
func TestUDPWithoutDescriptors(t *testing.T) {
	far := listenUDP(t, "127.0.0.1:0")
	router := startRouter(t, Options{}, dial.Policy{})
	client, server := netip.AddrPortFrom(clientV4, 5353), netip.AddrPortFrom(serverV4, portOf(far))
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
	router.send(t, tuntest.Frame{Data: tuntest.UDP{Src: client, Dst: server}.Packet()})
	eventually(t, "failure counted", func() bool { return len(router.stats.LocalFailures.Snapshot()) == 1 })
	restore()
	router.exchange(t, client, server, far)
	router.wantNoAnswer(t)
}
