//go:build linux

package nat

import (
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"syntap/stack/dial"
	"syntap/stack/nat/gso"
	"syntap/stack/nat/hostsock"
	"syntap/stack/nat/mappings"
	"syntap/tun"
	"syntap/tun/packet"
	"syntap/tun/tuntest"
)

// drain reads a socket until it is empty.
func drain(fd int) {
	var msg hostsock.Msghdr
	buf := make([]byte, 1<<16)
	for errno := syscall.Errno(0); errno == 0; {
		_, errno = msg.Receive(fd, buf, 0)
	}
}

// FuzzFrame: a frame is counted once at most, and the answer to it is in order.
func FuzzFrame(f *testing.F) {
	v4, v6 := netip.AddrPortFrom(clientV4, 5353), netip.AddrPortFrom(clientV6, 5353)
	server4, server6 := netip.AddrPortFrom(serverV4, 53), netip.AddrPortFrom(serverV6, 53)
	denied4 := netip.MustParseAddrPort("203.0.113.9:53")
	denied6 := netip.MustParseAddrPort("[2001:db8:3::9]:53")
	needsCsum, gso := uint8(tun.NeedsCsum), uint8(tun.GSOUDP)
	f.Add(datagram(v4, server4, []byte("hello")), uint8(0), uint8(0), uint16(0))
	f.Add(datagram(v6, server6, make([]byte, 300)), needsCsum, gso, uint16(100))
	f.Add(datagram(v4, denied4, nil), needsCsum, uint8(0), uint16(0))
	f.Add(datagram(v6, denied6, nil), needsCsum, uint8(0), uint16(0))
	f.Add(echo(clientV4, serverV4, 1, 1, []byte("hello")).Packet(), uint8(0), uint8(0), uint16(0))
	f.Add(echo(clientV6, serverV6, 1, 1, []byte("hello")).Packet(), uint8(0), uint8(0), uint16(0))
	noOptions := tuntest.IP{Options: []byte{1, 1, 1, 1}}
	f.Add(noOptions.Packet(clientV4, serverV4, packet.ProtoUDP, nil), uint8(0), uint8(0), uint16(0))
	trailed := tuntest.IP{}.Packet(clientV6, serverV6, packet.ProtoUDP, nil)
	f.Add(append(trailed, make([]byte, 64)...), needsCsum, gso, uint16(100))

	fd, port := lonePeer(f)
	link := &sink{}
	router := newRouter(f, link, dial.Options{
		Policy: dial.Policy{Deny: []netip.Prefix{
			netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0"),
		}},
		Redirect: func(dst netip.AddrPort) (netip.AddrPort, bool) {
			to, ok := tuntest.ToLoopback(dst)
			return netip.AddrPortFrom(to.Addr(), port), ok
		},
	}, Options{Limits: mappings.Limits{Mappings: 8}})
	stats := &router.stats
	drops := []*atomic.Uint64{
		&stats.DropMalformed, &stats.DropMappings, &stats.DropPerSource, &stats.DropOwnSocket,
		&stats.DropSend, &stats.DropDenied, &stats.DropLinkScope, &stats.DropICMP,
		&stats.DropSource,
	}
	f.Fuzz(func(t *testing.T, data []byte, flags, gso uint8, gsoSize uint16) {
		if len(data) > tun.MaxFrame {
			t.Skip()
		}
		count := func() (n uint64) {
			for _, d := range drops {
				n += d.Load()
			}
			return n
		}
		before := count()
		link.last = nil
		off := tun.Offload{Flags: tun.OffloadFlags(flags), GSO: tun.GSOType(gso), GSOSize: gsoSize}
		router.route(tuntest.Frame{Data: data, Offload: off})
		if n := count() - before; n > 1 {
			t.Errorf("counted %d times", n)
		}
		if link.last != nil {
			if err := tuntest.VerifyChecksums(link.last); err != nil {
				t.Errorf("answer %x: %v", link.last, err)
			}
		}
		drain(fd)
	})
}

// FuzzReplies: the client gets the datagrams of a far end as they were sent, in frames that its
// kernel can cut.
func FuzzReplies(f *testing.F) {
	f.Add([]byte{100, 100, 40, 0, 0, 200}, uint16(0))
	f.Add([]byte{255, 255, 255, 1}, uint16(90))
	link, host := tuntest.NewPipe(1500)
	router := newRouter(f, link, dial.Options{Redirect: tuntest.ToLoopback}, Options{})
	router.host = host
	far, port := lonePeer(f)
	client := netip.AddrPortFrom(clientV4, 5353)
	m, peer := router.opened(f, client, far, port)
	f.Fuzz(func(t *testing.T, lengths []byte, segment uint16) {
		segment %= 1400
		if len(lengths) > datagramsPerTurn/2 || segment > 0 && 8*255/segment >= gso.MaxDatagrams {
			t.Skip() // more than the kernel cuts, or the socket holds
		}
		var msg hostsock.Msghdr
		var want []int
		for _, l := range lengths {
			size := 8 * int(l)
			if errno := msg.Send(far, peer, int(segment), randomBytes(size)); errno != 0 {
				t.Fatal(errno)
			}
			for ; segment > 0 && size > int(segment); size -= int(segment) {
				want = append(want, int(segment))
			}
			want = append(want, size)
		}
		tuntest.Wait(t, "all datagrams", func() bool { // the loopback may take a moment
			router.replies.ready(m, unix.EPOLLIN)
			_ = router.WriteInbound(tun.Offload{}, [][]byte{[]byte("the end")})
			for f := router.host.MustReceive(t); string(f.Data) != "the end"; f = router.host.MustReceive(t) {
				from, to, payloads := parseUDP(t, f)
				if from != netip.AddrPortFrom(serverV4, port) || to != client {
					t.Errorf("from %s to %s", from, to)
				}
				for _, p := range payloads {
					if len(want) == 0 || len(p) != want[0] {
						t.Fatalf("datagram of %d bytes, want %v", len(p), want)
					}
					want = want[1:]
				}
			}
			return len(want) == 0
		})
	})
}

// FuzzICMPError: an error report gives an ICMP error in order, or none.
func FuzzICMPError(f *testing.F) {
	unreachable, request := uint8(unix.EHOSTUNREACH), []byte{8, 0, 0, 0, 0, 9, 0, 1}
	f.Add(unreachable, uint8(3), uint8(1), uint32(0), []byte("quoted payload"), false, false)
	f.Add(unreachable, uint8(11), uint8(0), uint32(0), request, true, false)
	f.Add(uint8(unix.EMSGSIZE), uint8(2), uint8(0), uint32(1280), []byte{}, false, true)
	f.Fuzz(func(t *testing.T, errno, typ, code uint8, mtu uint32, quoted []byte, isEcho, v6 bool) {
		client, local, far := clientV4, loopbackV4, serverV4
		if v6 {
			client, local, far = clientV6, netip.IPv6Loopback(), serverV6
		}
		if len(quoted) > packet.MaxICMPv6Error {
			t.Skip()
		}
		m := &mapping{
			Socket: hostsock.Socket{V6: v6, Own: netip.AddrPortFrom(local, 9), Echo: isEcho},
			nat:    &NAT{dialer: dial.New(dial.Options{})},
		}
		m.Client = mappings.Endpoint{AddrPort: netip.AddrPortFrom(client, 7), Echo: isEcho}
		m.Local = local
		peer := netip.AddrPortFrom(far, 53)
		if isEcho {
			peer = netip.AddrPortFrom(far, 0)
		}
		e := hostsock.Report{
			Errno: syscall.Errno(errno), V6: v6, Type: typ, Code: code, From: local, MTU: mtu,
		}
		b := m.translateError(&e, peer, quoted)
		if b == nil {
			return
		}
		if err := tuntest.VerifyChecksums(b); err != nil {
			t.Errorf("%x: %v", b, err)
		}
		if h, _ := parse(t, b); h.Dst(b) != client || h.Proto != icmpProto(v6) {
			t.Errorf("%x is not for the client", b)
		}
	})
}
