package dial

import (
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"syntap/tun/packet"
)

// TestSetMSS connects a socket across loopback, whose MTU is larger than any bound.
func TestSetMSS(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		target := l.Addr().(*net.TCPAddr).AddrPort()
		for asked, want := range map[packet.MSS]packet.MSS{40: 88, 1360: 1360, 40000: 32767} {
			fd, err := New(Options{}).Stream(target.Addr())
			if err != nil {
				t.Fatal(err)
			}
			got, err := SetMSS(fd, asked)
			if got != want || err != nil {
				t.Errorf("SetMSS(%d) = %d, %v, want %d", asked, got, err, want)
			}
			if errno := Connect(fd, target); errno != 0 && errno != unix.EINPROGRESS {
				t.Fatal(errno)
			}
			server, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			// The other end's largest segment, less its options.
			mss, err := maxSegment(server.(*net.TCPConn))
			if err != nil || mss > int(want) || mss < int(want)-40 {
				t.Errorf("the server of a socket with MSS %d sends segments of %d bytes, %v", want, mss, err)
			}
			server.Close()
			_ = unix.Close(fd)
		}
	}
}

func maxSegment(conn *net.TCPConn) (mss int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	if controlErr := raw.Control(func(fd uintptr) { mss, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG) }); controlErr != nil {
		return 0, controlErr
	}
	return mss, err
}

func TestSetDF(t *testing.T) {
	t.Parallel()
	d := New(Options{})
	loopback := netip.MustParseAddr("127.0.0.1")
	for name, open := range map[string]func(netip.Addr) (int, error){"stream": d.Stream, "datagram": d.Datagram} {
		for df, want := range map[packet.DF]int{
			packet.SetDF: unix.IP_PMTUDISC_DO, packet.EnforceDF: unix.IP_PMTUDISC_DO,
			packet.ClearDF: unix.IP_PMTUDISC_DONT, packet.PreserveDF: -1,
		} {
			fd, err := open(loopback)
			if err != nil {
				t.Fatal(err)
			}
			before, _ := unix.GetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER)
			if want == -1 {
				want = before
			}
			err = SetDF(fd, df)
			if got, _ := unix.GetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER); got != want || err != nil {
				t.Errorf("%s: SetDF(%v) sets IP_MTU_DISCOVER to %d, %v, want %d", name, df, got, err, want)
			}
			_ = unix.Close(fd)
		}
	}
}

func TestRouteMTU(t *testing.T) {
	t.Parallel()
	link, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]packet.MTU{"127.0.0.1": packet.MTU(min(link.MTU, 0xffff)), "::1": packet.MTU(link.MTU)} { // no IPv4 packet is longer
		if got := New(Options{}).RouteMTU(netip.AddrPortFrom(netip.MustParseAddr(host), 9)); got != want {
			t.Errorf("RouteMTU(%s) = %d, want %d", host, got, want)
		}
	}
}
