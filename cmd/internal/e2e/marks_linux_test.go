package e2e_test

import (
	endian "encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// marks are the fields of a datagram's IP header besides its addresses.
type marks struct{ HopLimit, TOS int }

// markedSocket is a UDP socket that tells and sets marks.
type markedSocket struct {
	*net.UDPConn
	v6 bool
}

func listenMarked(t *testing.T, ns *tuntest.Namespace, address string) markedSocket {
	t.Helper()
	s := markedSocket{ns.ListenPacket("udp", address).(*net.UDPConn), strings.HasPrefix(address, "[")}
	s.set(t, unix.IP_RECVTTL, unix.IPV6_RECVHOPLIMIT, 1)
	s.set(t, unix.IP_RECVTOS, unix.IPV6_RECVTCLASS, 1)
	if err := s.SetDeadline(time.Now().Add(tuntest.Patience)); err != nil {
		t.Fatal(err)
	}
	return s
}

// set sets an option of IPv4, or the one of IPv6 in its place.
func (s markedSocket) set(t *testing.T, v4, v6, value int) {
	t.Helper()
	level, option := unix.IPPROTO_IP, v4
	if s.v6 {
		level, option = unix.IPPROTO_IPV6, v6
	}
	raw, err := s.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var errno error
	if err := raw.Control(func(fd uintptr) { errno = unix.SetsockoptInt(int(fd), level, option, value) }); err != nil || errno != nil {
		t.Fatal(err, errno)
	}
}

func (s markedSocket) send(t *testing.T, as marks, to netip.AddrPort, payload string) {
	t.Helper()
	s.set(t, unix.IP_TTL, unix.IPV6_UNICAST_HOPS, as.HopLimit)
	s.set(t, unix.IP_TOS, unix.IPV6_TCLASS, as.TOS)
	if _, err := s.WriteToUDPAddrPort([]byte(payload), to); err != nil {
		t.Fatal(err)
	}
}

func (s markedSocket) receive(t *testing.T) (got marks, payload string, from netip.AddrPort) {
	t.Helper()
	b, control := make([]byte, 2000), make([]byte, 200)
	n, c, _, from, err := s.ReadMsgUDPAddrPort(b, control)
	if err != nil {
		t.Fatal(err)
	}
	messages, err := syscall.ParseSocketControlMessage(control[:c])
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		value := int(m.Data[0])
		if len(m.Data) >= 4 {
			value = int(endian.NativeEndian.Uint32(m.Data))
		}
		switch int(m.Header.Type) {
		case unix.IP_TTL, unix.IPV6_HOPLIMIT:
			got.HopLimit = value
		case unix.IP_TOS, unix.IPV6_TCLASS:
			got.TOS = value
		}
	}
	return got, string(b[:n]), from
}

// TestMarks compares the DSCP, ECN and hop limit that the ends of datagrams see with a router and
// without, for clients on the host and behind it.
func TestMarks(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	type seen struct{ Server, Client marks }
	all := func() (saw []seen) {
		for _, client := range []*tuntest.Namespace{lab.Router, lab.Client} {
			for _, host := range addresses() {
				far := listenMarked(t, lab.Server, net.JoinHostPort(host, "0"))
				near := listenMarked(t, client, map[bool]string{true: "[::]:0", false: "0.0.0.0:0"}[far.v6])
				for _, as := range []marks{{64, 0x2a}, {64, 0xb9}, {33, 0}, {255, 3}} {
					near.send(t, as, netip.MustParseAddrPort(far.LocalAddr().String()), "question")
					atServer, _, from := far.receive(t)
					far.send(t, marks{as.HopLimit - 7, as.TOS ^ 3}, from, "answer")
					atClient, _, _ := near.receive(t)
					saw = append(saw, seen{atServer, atClient})
				}
				far.Close()
				near.Close()
			}
		}
		return saw
	}
	want := all()
	r := run(t, lab.Router, "syntap0", strings.Replace(everything, "{name: syntap0}", `{name: syntap0, sources: [host, 192.0.2.0/24, "2001:db8:1::/64"]}`, 1))
	if diff := cmp.Diff(want, all()); diff != "" {
		t.Errorf("with the router (-direct +got):\n%s", diff)
	}
	r.stop(t, unix.SIGTERM)
}

// TestPathMTUProbes looks for the path MTU by datagrams and pings that must not be fragmented,
// where a router behind the host's uplink has a narrow link.
func TestPathMTUProbes(t *testing.T) {
	t.Parallel()
	requireTools(t, "ping")
	lab, far := labWithNarrowUplink(t)
	serveDatagrams(far, "203.0.113.66:4433")
	serveDatagrams(far, "[2001:db8:6::2]:4433")
	probe := func(client *tuntest.Namespace) (passes []string) {
		for _, host := range []string{"203.0.113.66", "2001:db8:6::2"} {
			headers := map[bool]int{true: 48, false: 28}[strings.Contains(host, ":")]
			best := 0
			for _, size := range []int{1280, 1380, 1400, 1420, 1500} {
				if probeDatagram(t, client, host, size-headers) {
					best = size
				}
			}
			ping := command(t, client, "ping", "-n", "-c2", "-i0.2", "-W5", "-Mdo", "-s", strconv.Itoa(1500-headers), host)
			passes = append(passes, fmt.Sprintf("%s: datagrams of %d, ping %d", host, best, ping.status))
		}
		return passes
	}
	clients := map[string]*tuntest.Namespace{"host": lab.Router, "client behind it": lab.Client}
	want := map[string][]string{}
	for name, client := range clients {
		want[name] = probe(client)
	}
	if !strings.Contains(want["host"][0], " 1400,") {
		t.Fatalf("without the router: %v", want)
	}
	for _, ns := range []*tuntest.Namespace{lab.Router, lab.Client} { // the path MTUs that they have learned
		ns.Run("ip", "route", "flush", "cache")
		ns.Run("ip", "-6", "route", "flush", "cache")
	}
	r := run(t, lab.Router, "syntap0", strings.Replace(everything, "{name: syntap0}", `{name: syntap0, sources: [host, 192.0.2.0/24, "2001:db8:1::/64"]}`, 1))
	for name, client := range clients {
		if diff := cmp.Diff(want[name], probe(client)); diff != "" {
			t.Errorf("%s with the router (-direct +got):\n%s", name, diff)
		}
	}
	r.stop(t, unix.SIGTERM)
}

// labWithNarrowUplink puts a host behind a link of 1400 bytes behind the lab's server, which
// forwards to it.
func labWithNarrowUplink(t *testing.T) (lab *tuntest.Lab, far *tuntest.Namespace) {
	t.Helper()
	lab, far = tuntest.NewLab(t), tuntest.NewNamespace(t)
	lab.Server.Sysctl("net.ipv4.ip_forward", "1")
	lab.Server.Sysctl("net.ipv6.conf.all.forwarding", "1")
	far.Sysctl("net.ipv6.conf.default.accept_dad", "0")
	lab.Server.Join("down0", far, "eth0")
	lab.Server.AddAddress("down0", "203.0.113.65/26")
	lab.Server.AddAddress("down0", "2001:db8:6::1/64")
	far.AddAddress("eth0", "203.0.113.66/26")
	far.AddAddress("eth0", "2001:db8:6::2/64")
	far.AddRoute("0.0.0.0/0", "203.0.113.65")
	far.AddRoute("::/0", "2001:db8:6::1")
	setMTU(t, lab.Server, "down0", 1400)
	setMTU(t, far, "eth0", 1400)
	return lab, far
}

// serveDatagrams answers each datagram by a short one.
func serveDatagrams(ns *tuntest.Namespace, address string) {
	c := ns.ListenPacket("udp", address)
	go func() {
		b := make([]byte, 1<<16)
		for {
			_, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = c.WriteTo([]byte("got it"), from)
		}
	}()
}

// probeDatagram sends a datagram of n bytes that must not be fragmented, and reports whether it is
// answered.
func probeDatagram(t *testing.T, ns *tuntest.Namespace, host string, n int) bool {
	t.Helper()
	conn, err := ns.Dial(t.Context(), "udp", net.JoinHostPort(host, "4433"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s := markedSocket{conn.(*net.UDPConn), strings.Contains(host, ":")}
	s.set(t, unix.IP_MTU_DISCOVER, unix.IPV6_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE)
	s.set(t, unix.IP_RECVERR, unix.IPV6_RECVERR, 1) // errors of datagrams that are too long come at once
	_ = conn.SetDeadline(time.Now().Add(tuntest.Patience))
	if _, err := conn.Write(make([]byte, n)); err != nil {
		return false
	}
	_, err = conn.Read(make([]byte, 100))
	if err != nil && !strings.Contains(err.Error(), "message too long") {
		t.Errorf("answer to a datagram of %d bytes to %s: %v", n, host, err)
	}
	return err == nil
}
