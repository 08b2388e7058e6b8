package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log" //nolint:depguard // net/http takes no other logger
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/packet"
	"syntap/tun/tuntest"
)

// mtuChain is a client and a server with three routers between them. Packets that are too long for
// a way are dropped in the middle router, by the MTU of its route.
//
//	client ── first ── middle ── last ── server
type mtuChain struct {
	hosts [5]*tuntest.Namespace
}

// newMTUChain makes a chain in which the middle router's route to the server has the MTU up, and
// that back the MTU down; 0 = that of the links, 1500.
func newMTUChain(t *testing.T, up, down int) *mtuChain {
	t.Helper()
	c := &mtuChain{}
	for i := range c.hosts {
		c.hosts[i] = tuntest.NewNamespace(t)
		c.hosts[i].Sysctl("net.ipv6.conf.default.accept_dad", "0")
		c.hosts[i].Sysctl("net.ipv4.tcp_mtu_probing", "0")
		c.hosts[i].Sysctl("net.ipv4.ip_forward", "1")
		c.hosts[i].Sysctl("net.ipv6.conf.all.forwarding", "1")
		c.hosts[i].Sysctl("net.ipv4.icmp_ratelimit", "0")
		c.hosts[i].Sysctl("net.ipv6.icmp.ratelimit", "0")
	}
	for i := range 4 {
		c.hosts[i].Join("right", c.hosts[i+1], "left")
		c.hosts[i].AddAddress("right", fmt.Sprintf("198.51.100.%d/30", 4*i+1))
		c.hosts[i].AddAddress("right", fmt.Sprintf("2001:db8:%d::1/64", 100+i))
		c.hosts[i+1].AddAddress("left", fmt.Sprintf("198.51.100.%d/30", 4*i+2))
		c.hosts[i+1].AddAddress("left", fmt.Sprintf("2001:db8:%d::2/64", 100+i))
	}
	route := func(ns *tuntest.Namespace, to4, via4, to6, via6 string, mtu int) {
		lock := []string(nil)
		if mtu != 0 {
			lock = []string{"mtu", "lock", strconv.Itoa(mtu)}
		}
		ns.Run("ip", append([]string{"route", "add", to4, "via", via4}, lock...)...)
		ns.Run("ip", append([]string{"-6", "route", "add", to6, "via", via6}, lock...)...)
	}
	for i := range 4 {
		mtu := map[bool]int{i == 2: up}[true]
		route(c.hosts[i], "203.0.113.2/32", fmt.Sprintf("198.51.100.%d", 4*i+2), "2001:db8:3::2/128", fmt.Sprintf("2001:db8:%d::2", 100+i), mtu)
		mtu = map[bool]int{i+1 == 2: down}[true]
		route(c.hosts[i+1], "192.0.2.2/32", fmt.Sprintf("198.51.100.%d", 4*i+1), "2001:db8:1::2/128", fmt.Sprintf("2001:db8:%d::1", 100+i), mtu)
	}
	for _, a := range []struct{ host, address string }{{"client", "192.0.2.2/32"}, {"client", "2001:db8:1::2/128"}, {"server", "203.0.113.2/32"}, {"server", "2001:db8:3::2/128"}} {
		ns := c.client()
		if a.host == "server" {
			ns = c.server()
		}
		ns.AddAddress("lo", a.address)
	}
	c.client().Run("ip", "route", "replace", "203.0.113.2/32", "via", "198.51.100.2", "src", "192.0.2.2")
	c.client().Run("ip", "-6", "route", "replace", "2001:db8:3::2/128", "via", "2001:db8:100::2", "src", "2001:db8:1::2")
	c.server().Run("ip", "route", "replace", "192.0.2.2/32", "via", "198.51.100.13", "src", "203.0.113.2")
	c.server().Run("ip", "-6", "route", "replace", "2001:db8:1::2/128", "via", "2001:db8:103::1", "src", "2001:db8:3::2")
	return c
}

func (c *mtuChain) client() *tuntest.Namespace { return c.hosts[0] }
func (c *mtuChain) middle() *tuntest.Namespace { return c.hosts[2] }
func (c *mtuChain) server() *tuntest.Namespace { return c.hosts[4] }

// silence has the middle router send no word of packets that are too long.
func (c *mtuChain) silence() {
	c.middle().Drop(100, "output", "icmp type destination-unreachable")
	c.middle().Drop(100, "output", "icmpv6 type packet-too-big")
}

// forge has the first router answer each TCP packet with an ICMP error that says that it is too
// long. Like an attacker who does not see the packets it does not know their sequence numbers.
func (c *mtuChain) forge(t *testing.T) {
	t.Helper()
	c.lie(t, 1280, func(tcp []byte) { tcp[4] ^= 1 << 6 })
}

// lie is the same with an MTU, and with the TCP header that it quotes changed; nil leaves it as it
// is.
func (c *mtuChain) lie(t *testing.T, mtu uint32, change func(tcp []byte)) {
	t.Helper()
	first := c.hosts[1]
	raw4, raw6 := first.ListenPacket("ip4:icmp", "0.0.0.0"), first.ListenPacket("ip6:ipv6-icmp", "::")
	var fd int
	must(t, first.Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, int(unix.ETH_P_ALL>>8|unix.ETH_P_ALL<<8&0xff00))
		return err
	}))
	must(t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 50_000}))
	var forging sync.WaitGroup
	forging.Go(func() {
		defer unix.Close(fd)
		for b := make([]byte, 1<<16); t.Context().Err() == nil; {
			n, _, err := unix.Recvfrom(fd, b, 0)
			var h packet.Headers
			if err != nil {
				continue
			}
			if h.Parse(b[:n], n); !h.TCP || h.PayloadLen() == 0 {
				continue
			}
			if change != nil {
				change(b[h.Offset:n])
			}
			typ, code, to, raw := uint8(packet.ICMPUnreachable), uint8(packet.ICMPFragmentationNeeded), h.Src(b), raw4
			if h.Version == 6 {
				typ, code, raw = packet.ICMPv6PacketTooBig, 0, raw6
			}
			lie := packet.ICMPError(&h, b[:h.End], h.Dst(b), typ, code, mtu)
			_, _ = raw.WriteTo(lie[packet.HeaderLen(to):], &net.IPAddr{IP: to.AsSlice()})
		}
	})
	t.Cleanup(forging.Wait)
}

// lose has packets lost in the middle router, in either direction.
func (c *mtuChain) lose(percent int) {
	c.onWire()
	c.middle().Drop(percent, "forward", "meta l4proto tcp")
}

// onWire has the ends send packets as on a wire, not those of up to 64 KiB that a veth carries
// otherwise.
func (c *mtuChain) onWire() {
	c.client().Run("ip", "link", "set", "right", "gso_max_segs", "1")
	c.server().Run("ip", "link", "set", "left", "gso_max_segs", "1")
}

// filter has the middle router do something by an nft rule, such as "ip length > 1400 drop". The
// client is at its interface left.
func (c *mtuChain) filter(rules ...string) {
	c.middle().Run("nft", "add table inet f; add chain inet f c { type filter hook forward priority 0; }")
	for _, rule := range rules {
		c.middle().Run("nft", "add rule inet f c "+rule)
	}
}

// fork has one of every two connections to the server's IPv4 address, by ports, take a way of its
// own to the middle router, behind which it is narrow. Linux's own choice follows a hash that veth
// hands on and each timeout changes.
func (c *mtuChain) fork(mtu int) {
	first, middle := c.hosts[1], c.middle()
	first.Join("right2", middle, "left2")
	first.AddAddress("right2", "198.51.100.129/30")
	middle.AddAddress("left2", "198.51.100.130/30")
	first.Run("nft", "add table inet t; add chain inet t c { type filter hook prerouting priority -150; }; "+
		"add rule inet t c tcp sport & 4 == 4 meta mark set 1")
	first.Run("ip", "route", "add", "203.0.113.2/32", "via", "198.51.100.130", "table", "100")
	first.Run("ip", "rule", "add", "fwmark", "1", "lookup", "100")
	middle.Run("ip", "route", "add", "203.0.113.2/32", "via", "198.51.100.10", "mtu", "lock", strconv.Itoa(mtu), "table", "100")
	middle.Run("ip", "rule", "add", "iif", "left2", "lookup", "100")
}

// serve serves a web page of a MiB by HTTP and TLS, a banner as that of SSH, and a port that says
// nothing, on both addresses.
func (c *mtuChain) serve(t *testing.T) {
	t.Helper()
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/short" {
			_, _ = w.Write([]byte("short"))
			return
		}
		if r.URL.Path == "/slow" {
			time.Sleep(600 * time.Millisecond)
		}
		if r.URL.Path == "/uneven" {
			time.Sleep(rand.N(2 * time.Second))
		}
		_, _ = w.Write(make([]byte, transferSize))
	})
	kexinit := append([]byte{0, 0, 4, 56, 4, 20}, make([]byte, 1084-6)...)
	for _, address := range []string{"203.0.113.2", "2001:db8:3::2"} {
		listen := func(port string) net.Listener { return c.server().Listen("tcp", net.JoinHostPort(address, port)) }
		plain, secure := httptest.NewUnstartedServer(page), httptest.NewUnstartedServer(page)
		plain.Listener, secure.Listener = listen("80"), listen("443")
		secure.Config.ErrorLog = log.New(io.Discard, "", 0)
		plain.Start()
		secure.StartTLS()
		t.Cleanup(plain.CloseClientConnections)
		t.Cleanup(secure.CloseClientConnections)
		say := func(l net.Listener, what []byte) {
			go serveAll(l, func(conn *net.TCPConn) {
				_, _ = conn.Write(what)
				_, _ = conn.Read(make([]byte, 1<<20))
				<-t.Context().Done()
			})
		}
		say(listen("22"), append([]byte("SSH-2.0-Lab\r\n"), kexinit...))
		say(listen("7"), nil)
		go serveAll(listen("13"), func(conn *net.TCPConn) { // in small pieces
			for _, err := conn.Write([]byte("piece")); err == nil; _, err = conn.Write([]byte("piece")) {
				time.Sleep(100 * time.Millisecond)
			}
		})
	}
}

// mtuResult is the JSON object of syntap mtu.
type mtuResult struct {
	Verdict  string
	Up, Down *mtuSizes
	ICMP     *int
	MSS      struct{ Client, Server int }
	Clamp    *int
	Hops     []struct{ Full bool }
}

type mtuSizes struct {
	Passes int
	Fails  *int
}

// String gives "1400/1401", "1500/-" where nothing fails, and "-" for no sizes.
func (s *mtuSizes) String() string {
	switch {
	case s == nil:
		return "-"
	case s.Fails == nil:
		return fmt.Sprintf("%d/-", s.Passes)
	default:
		return fmt.Sprintf("%d/%d", s.Passes, *s.Fails)
	}
}

// measure runs syntap mtu without privilege and returns its exit status and result.
func (c *mtuChain) measure(t *testing.T, args ...string) (status int, r mtuResult, all result) {
	t.Helper()
	began, clock := time.Now(), startRunTime(t.Context())
	if !soak() { // the machine has other work, too
		args = append([]string{"--timeout", tuntest.Patience.String()}, args...)
	}
	all = command(t, c.client(), "setpriv", append([]string{
		"--bounding-set=-all", "--inh-caps=-all",
		binary, "mtu", "--json",
	}, args...)...)
	if d := clock.now(); soak() && d > 15*time.Second { // with the time that it takes to start
		t.Errorf("mtu took %v, want ten seconds at most", d)
	}
	t.Logf("%v in %v:\n%s%s", args, time.Since(began), all.stdout, all.stderr)
	if all.stdout != "" {
		if err := json.Unmarshal([]byte(all.stdout), &r); err != nil {
			t.Fatalf("%v: %s", err, all.stdout)
		}
	}
	return all.status, r, all
}
