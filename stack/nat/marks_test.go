//go:build linux

package nat

import (
	"encoding/binary"
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"syntap/stack/dial"
	"syntap/stack/nat/gso"
	"syntap/stack/nat/mappings"
	"syntap/tun"
	"syntap/tun/packet"
	"syntap/tun/tuntest"
)

// marked returns a frame whose IP header has the given marks.
func marked(b []byte, as packet.Marks) tuntest.Frame {
	if b[0]>>4 == 6 {
		b[0], b[1], b[7] = 0x60|as.TOS>>4, as.TOS<<4|b[1]&15, as.HopLimit
		return tuntest.Frame{Data: b}
	}
	b[1], b[8] = as.TOS, as.HopLimit
	binary.BigEndian.PutUint16(b[10:], 0)
	binary.BigEndian.PutUint16(b[10:], ^packet.Checksum(b[:20], 0))
	return tuntest.Frame{Data: b}
}

// marksOf returns those of an inbound frame.
func marksOf(t *testing.T, f tuntest.Frame) packet.Marks {
	t.Helper()
	h, _ := parse(t, f.Data)
	as := (&gso.Frame{Frame: &tun.Frame{Head: f.Data, Headers: h}}).Marks()
	as.Whole = false
	return as
}

// markedPeer is a UDP socket that sees and sets the marks of datagrams.
type markedPeer struct {
	*net.UDPConn
	v6 bool
}

func (p markedPeer) set(t *testing.T, option4, option6, value int) {
	t.Helper()
	raw, err := p.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	level, option := unix.IPPROTO_IP, option4
	if p.v6 {
		level, option = unix.IPPROTO_IPV6, option6
	}
	if failed := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), level, option, value)
	}); failed != nil || err != nil {
		t.Fatal(failed, err)
	}
}

func (p markedPeer) receive(t *testing.T) (as packet.Marks, from netip.AddrPort) {
	t.Helper()
	b, oob := make([]byte, 100), make([]byte, 200)
	_, n, _, from, err := p.ReadMsgUDPAddrPort(b, oob)
	if err != nil {
		t.Fatal(err)
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		switch int(m.Header.Type) { // the two families have other numbers
		case unix.IP_TTL, unix.IPV6_HOPLIMIT:
			as.HopLimit = m.Data[0]
		case unix.IP_TOS, unix.IPV6_TCLASS:
			as.TOS = m.Data[0]
		}
	}
	return as, from
}

// TestMarksCross: hop limit, DSCP and ECN of a datagram or an echo cross unchanged, and those of an
// answer, too.
func TestMarksCross(t *testing.T) {
	lab := tuntest.NewLab(t)
	echoSockets(t, func(t *testing.T, pingSockets bool) {
		router := routerIn(t, lab.Client, pingSockets, dial.Options{})
		for _, tt := range []struct{ client, server string }{
			{"198.51.100.77", tuntest.ServerAddr4}, {"2001:db8:9::1", tuntest.ServerAddr6},
		} {
			client, server := netip.MustParseAddr(tt.client), netip.MustParseAddr(tt.server)
			far := markedPeer{listenIn(lab.Server, tt.server, "0"), client.Is6()}
			far.set(t, unix.IP_RECVTTL, unix.IPV6_RECVHOPLIMIT, 1)
			far.set(t, unix.IP_RECVTOS, unix.IPV6_RECVTCLASS, 1)
			for _, as := range []packet.Marks{
				{HopLimit: 64, TOS: 0xb9},
				{HopLimit: 33, TOS: 0x2a},
				{HopLimit: 64},
				{HopLimit: 255, TOS: 3},
			} {
				query := datagram(netip.AddrPortFrom(client, 5353),
					netip.AddrPortFrom(server, tuntest.PortOf(far.UDPConn)), []byte("hello"))
				router.host.MustSend(t, marked(query, as))
				got, peer := far.receive(t)
				want := packet.Marks{HopLimit: as.HopLimit - 1, TOS: as.TOS} // Lab.Router is a hop
				if got != want {
					t.Errorf("to %s: far end got %+v, want %+v", server, got, want)
				}
				far.set(t, unix.IP_TTL, unix.IPV6_UNICAST_HOPS, int(as.HopLimit))
				far.set(t, unix.IP_TOS, unix.IPV6_TCLASS, int(as.TOS))
				if _, err := far.WriteToUDPAddrPort([]byte("hello"), peer); err != nil {
					t.Fatal(err)
				}
				if got := marksOf(t, router.host.MustReceive(t)); got != want {
					t.Errorf("from %s: client got %+v, want %+v", server, got, want)
				}
				router.host.MustSend(t, marked(echo(client, server, 1, 1, nil).Packet(), as))
				// The far end answers with the DSCP of the request; over IPv6, not every kernel
				// does.
				got = marksOf(t, router.host.MustReceive(t))
				sameDSCP := got.TOS&^3 == as.TOS&^3 || client.Is6() && got.TOS == 0
				if got.HopLimit != 63 || !sameDSCP {
					t.Errorf("echo reply of %s to %+v has %+v", server, as, got)
				}
			}
		}
	})
}

// TestHopLimitZero: no router passes on such a packet.
func TestHopLimitZero(t *testing.T) {
	router := newRouter(t, &sink{}, dial.Options{Redirect: tuntest.ToLoopback}, Options{})
	_, port := lonePeer(t)
	b := datagram(netip.AddrPortFrom(clientV4, 5353), netip.AddrPortFrom(serverV4, port), nil)
	router.route(marked(b, packet.Marks{}))
	if n := router.stats.DropMalformed.Load(); n != 1 {
		t.Errorf("counted %d, want 1", n)
	}
}

// TestDFPolicy: Options.DF overrules the bit of the client.
func TestDFPolicy(t *testing.T) {
	for _, tt := range []struct {
		policy   packet.DF
		client   bool
		discover int
	}{
		{packet.PreserveDF, true, unix.IP_PMTUDISC_PROBE},
		{packet.PreserveDF, false, unix.IP_PMTUDISC_DONT},
		{packet.SetDF, false, unix.IP_PMTUDISC_PROBE},
		{packet.EnforceDF, false, unix.IP_PMTUDISC_PROBE},
		{packet.ClearDF, true, unix.IP_PMTUDISC_DONT},
	} {
		_, port := lonePeer(t)
		client, server := netip.AddrPortFrom(clientV4, 5353), netip.AddrPortFrom(serverV4, port)
		df := func(c, s netip.AddrPort) packet.DF {
			if c != client || s != server {
				t.Errorf("asked for %s to %s", c, s)
			}
			return tt.policy
		}
		router := newRouter(t, &sink{}, dial.Options{Redirect: tuntest.ToLoopback}, Options{DF: df})
		query := tuntest.UDP{Src: client, Dst: server, IP: tuntest.IP{DF: tt.client}}
		router.route(tuntest.Frame{Data: query.Packet()})
		m := router.mappingAt(mappings.Key{Client: mappings.UDP(client), Local: loopbackV4})
		got, err := unix.GetsockoptInt(m.FD(), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER)
		if err != nil || got != tt.discover {
			t.Errorf("policy %d, client's DF %t: IP_MTU_DISCOVER %d, %v, want %d",
				tt.policy, tt.client, got, err, tt.discover)
		}
	}
}

var loopbackV4 = netip.MustParseAddr("127.0.0.1")
