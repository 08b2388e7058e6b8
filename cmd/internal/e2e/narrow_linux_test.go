package e2e_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun"
	"syntap/tun/tuntest"
)

// gatewayOf is the config of a gateway for the networks of the tests below.
const gatewayOf = `
tun: {name: syntap0, sources: [host, 192.0.2.0/24, 203.0.113.128/25, "2001:db8:1::/64", "2001:db8:14::/47"]}
route: {exclude: [192.0.2.0/24, 203.0.113.128/25, "2001:db8:1::/64", "2001:db8:14::/47"]}
tap: {log: [{format: json, path: DIR/handshakes.json}]}
http: {listen: ` + viewAddress + `}
`

// Addresses of a client behind two routers.
const (
	behindAddr4 = "203.0.113.194"
	behindAddr6 = "2001:db8:15::2"
)

// behindNarrowLink puts a client behind the lab's client, which forwards to it over a link of 1300
// bytes. It does not know of that link: its own has 1500.
//
//	Router ──1500── Client ──1300── second ──1500── far
func behindNarrowLink(t *testing.T, lab *tuntest.Lab) (far, second *tuntest.Namespace) {
	t.Helper()
	first := lab.Client
	second, far = tuntest.NewNamespace(t), tuntest.NewNamespace(t)
	for _, ns := range []*tuntest.Namespace{first, second} {
		ns.Sysctl("net.ipv4.ip_forward", "1")
		ns.Sysctl("net.ipv6.conf.all.forwarding", "1")
	}
	for _, ns := range []*tuntest.Namespace{second, far} {
		ns.Sysctl("net.ipv6.conf.default.accept_dad", "0")
	}
	first.Join("down0", second, "up0")
	second.Join("down0", far, "eth0")
	setMTU(t, first, "down0", 1300)
	setMTU(t, second, "up0", 1300)
	for _, a := range []struct {
		ns           *tuntest.Namespace
		link, prefix string
	}{
		{first, "down0", "203.0.113.129/26"},
		{first, "down0", "2001:db8:14::1/64"},
		{second, "up0", "203.0.113.130/26"},
		{second, "up0", "2001:db8:14::2/64"},
		{second, "down0", "203.0.113.193/26"},
		{second, "down0", "2001:db8:15::1/64"},
		{far, "eth0", behindAddr4 + "/26"},
		{far, "eth0", behindAddr6 + "/64"},
	} {
		a.ns.AddAddress(a.link, a.prefix)
	}
	far.AddRoute("0.0.0.0/0", "203.0.113.193")
	far.AddRoute("::/0", "2001:db8:15::1")
	second.AddRoute("0.0.0.0/0", "203.0.113.129")
	second.AddRoute("::/0", "2001:db8:14::1")
	first.AddRoute("203.0.113.192/26", "203.0.113.130")
	first.AddRoute("2001:db8:15::/64", "2001:db8:14::2")
	lab.Router.AddRoute("203.0.113.128/25", tuntest.ClientAddr4)
	lab.Router.AddRoute("2001:db8:14::/47", tuntest.ClientAddr6)
	return far, second
}

func setMTU(t *testing.T, ns *tuntest.Namespace, link string, mtu int) {
	t.Helper()
	if err := ns.Netlink.LinkSetMTU(ns.Link(link), mtu); err != nil {
		t.Fatalf("set the MTU of %s to %d: %v", link, mtu, err)
	}
}

// serveBytes has a server of the lab send n bytes to each client.
func serveBytes(ns *tuntest.Namespace, address string, n int) {
	go serveAll(ns.Listen("tcp", address), func(conn *net.TCPConn) { _, _ = conn.Write(make([]byte, n)) })
}

// download reads all that a server sends.
func download(t *testing.T, ns *tuntest.Namespace, address string) (n int64, err error) {
	t.Helper()
	conn, err := ns.Dial(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(tuntest.Patience))
	return io.Copy(io.Discard, conn)
}

// serveSizes answers each datagram, which holds a number, with as many bytes.
func serveSizes(ns *tuntest.Namespace, address string) {
	conn := ns.ListenPacket("udp", address)
	go func() {
		question := make([]byte, 16)
		for {
			n, from, err := conn.ReadFrom(question)
			if err != nil {
				return
			}
			size, _ := strconv.Atoi(string(question[:n]))
			_, _ = conn.WriteTo(make([]byte, size), from)
		}
	}()
}

// askFor asks for an answer of some size. Where answers may be lost, because their sender learns by
// that how large packets may be, it asks until one comes.
func askFor(t *testing.T, ns *tuntest.Namespace, address string, size int, lossy bool) {
	t.Helper()
	conn, err := ns.Dial(t.Context(), "udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answer := make([]byte, 1<<16)
	wait := tuntest.Patience
	if lossy {
		wait = 500 * time.Millisecond
	}
	for end := time.Now().Add(tuntest.Patience); time.Now().Before(end); {
		if _, err := fmt.Fprint(conn, size); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(wait))
		if n, err := conn.Read(answer); err == nil {
			if n != size {
				t.Errorf("%s answered %d bytes, want %d", address, n, size)
			}
			return
		}
	}
	t.Errorf("no answer of %d bytes from %s", size, address)
}

// mssOf returns the MSS of the SYN-ACK in a record.
func mssOf(r record) int {
	if r.Server.MSS == nil {
		return 0
	}
	return *r.Server.MSS
}

// TestNarrowPathToClient carries large answers to a client behind a link that only a router on the
// way knows of.
func TestNarrowPathToClient(t *testing.T) {
	t.Parallel()
	requireTools(t, "ping")
	lab := tuntest.NewLab(t)
	far, _ := behindNarrowLink(t, lab)
	r := run(t, lab.Router, "syntap0", gatewayOf)
	for i, host := range addresses() {
		serveBytes(lab.Server, net.JoinHostPort(host, "8000"), 1<<20)
		for range 2 {
			if n, err := download(t, far, net.JoinHostPort(host, "8000")); n != 1<<20 || err != nil {
				t.Errorf("%s: got %d bytes of %d: %v", host, n, 1<<20, err)
			}
		}
		records := r.waitRecords(t, 2*i+2)[2*i:]
		header := 40 + 20*i
		if first, second := mssOf(records[0]), mssOf(records[1]); first != 1500-header || second != 1300-header {
			t.Errorf("%s: MSS announced first %d, then %d; want %d and %d", host, first, second, 1500-header, 1300-header)
		}
	}
	r.stop(t, unix.SIGTERM)
}

// TestNarrowPathForDatagrams is the same for answers that are no connection's.
func TestNarrowPathForDatagrams(t *testing.T) {
	t.Parallel()
	requireTools(t, "ping")
	lab := tuntest.NewLab(t)
	far, _ := behindNarrowLink(t, lab)
	r := run(t, lab.Router, "syntap0", gatewayOf)
	for i, host := range addresses() {
		serveSizes(lab.Server, net.JoinHostPort(host, "7000"))
		for _, size := range []int{1400, 4000} {
			askFor(t, far, net.JoinHostPort(host, "7000"), size, i == 1) // IPv4 is fragmented on the way
		}
		tuntest.Wait(t, host+" to answer a ping of 1400 bytes", func() bool { // the first may be lost, too
			return command(t, far, "ping", "-n", "-c1", "-W1", "-Mdont", "-s1400", host).status == 0
		})
	}
	r.stop(t, unix.SIGTERM)
}

// TestNarrowLAN has the link to the clients narrower than the TUN.
func TestNarrowLAN(t *testing.T) {
	t.Parallel()
	requireTools(t, "ping")
	lab := tuntest.NewLab(t)
	setMTU(t, lab.Router, "lan0", 1400)
	setMTU(t, lab.Client, "eth0", 1400)
	r := run(t, lab.Router, "syntap0", gatewayOf)
	for i, host := range addresses() {
		serveBytes(lab.Server, net.JoinHostPort(host, "8000"), 1<<20)
		serveSizes(lab.Server, net.JoinHostPort(host, "7000"))
		if n, err := download(t, lab.Client, net.JoinHostPort(host, "8000")); n != 1<<20 || err != nil {
			t.Errorf("%s: got %d bytes of %d: %v", host, n, 1<<20, err)
		}
		for _, size := range []int{1352, 1353, 1420, 1472, 1473, 9000} {
			askFor(t, lab.Client, net.JoinHostPort(host, "7000"), size, false)
		}
		lab.Client.Run("ping", "-n", "-c1", "-w30", "-s1400", host)
		records := r.waitRecords(t, i+1)
		if mss, want := mssOf(records[i]), 1400-40-20*i; mss != want {
			t.Errorf("%s: MSS announced %d, want %d", host, mss, want)
		}
	}
	r.stop(t, unix.SIGTERM)
}

// TestForgedTooBig has a neighbour of a client say that its path is narrow, without knowing the
// client's packets.
func TestForgedTooBig(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl")
	lab := tuntest.NewLab(t)
	r := run(t, lab.Router, "syntap0", gatewayOf)
	for i, host := range addresses() {
		serveEcho(lab.Server, net.JoinHostPort(host, "8000"))
		conn, err := lab.Client.Dial(t.Context(), "tcp", net.JoinHostPort(host, "8000"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		const forged = 20
		sendForged(t, lab.Client, conn, forged)
		want := fmt.Sprintf("\nsyntap_drops_total{reason=%q} %d\n", "icmp_unmatched", forged*(i+1))
		r.wait(t, "forged errors counted", func() bool {
			return strings.Contains(lab.Router.Run("curl", "-sS", "http://"+viewAddress+"/metrics"), want)
		})
		serveBytes(lab.Server, net.JoinHostPort(host, "8001"), 1)
		if _, err := download(t, lab.Client, net.JoinHostPort(host, "8001")); err != nil {
			t.Error(err)
		}
		records := r.waitRecords(t, 2*i+2)
		if mss, want := mssOf(records[2*i+1]), 1500-40-20*i; mss != want {
			t.Errorf("%s: MSS announced %d after forged errors, want %d", host, mss, want)
		}
	}
	r.stop(t, unix.SIGTERM)
}

// sendForged sends ICMP errors about segments of a connection with numbers that are guessed.
func sendForged(t *testing.T, ns *tuntest.Namespace, conn net.Conn, n int) {
	t.Helper()
	server, client := conn.RemoteAddr().(*net.TCPAddr).AddrPort(), conn.LocalAddr().(*net.TCPAddr).AddrPort()
	icmp := tuntest.ICMP{Src: client.Addr(), Dst: server.Addr(), Type: 3, Code: 4, Rest: [4]byte{2: 5, 3: 20}}
	network := "ip4:icmp"
	if server.Addr().Is6() {
		icmp.Type, icmp.Code, network = 2, 0, "ip6:ipv6-icmp"
	}
	raw := ns.ListenPacket(network, client.Addr().String())
	for range n {
		segment := tuntest.TCP{Src: server, Dst: client, Seq: rand.Uint32(), Flags: tuntest.ACK, Payload: make([]byte, 1400)}
		icmp.Payload = segment.Packet()[:tun.HeadSize]
		packet := icmp.Packet()
		if _, err := raw.WriteTo(packet[len(packet)-8-tun.HeadSize:], &net.IPAddr{IP: server.Addr().AsSlice()}); err != nil {
			t.Fatal(err)
		}
	}
}
