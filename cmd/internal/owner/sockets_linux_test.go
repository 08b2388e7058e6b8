package owner

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/flow"
	"syntap/tun/tuntest"
)

// testSocket makes a socket of this test with the options, bound to an address.
func testSocket(t *testing.T, family, kind, proto int, options []int, to netip.AddrPort) int {
	t.Helper()
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, proto)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	for _, option := range options {
		level := unix.SOL_SOCKET
		if option == unix.IPV6_V6ONLY {
			level = unix.IPPROTO_IPV6
		}
		if err := unix.SetsockoptInt(fd, level, option, 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Bind(fd, address(family, to)); err != nil {
		t.Fatal(err)
	}
	return fd
}

func address(family int, a netip.AddrPort) unix.Sockaddr {
	if family == unix.AF_INET {
		return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
	}
	return &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}
}

// The tests below are not parallel: a child of this process, until it executes its program, holds
// this process's sockets too.

// A UDP socket is found by a datagram that it may have sent, whether it is connected or not.
func TestUDPSocket(t *testing.T) {
	f := testFinder(t, patient)
	own, own6, any4, any6 := netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback(), netip.IPv4Unspecified(), netip.IPv6Unspecified()
	server, other := netip.MustParseAddrPort("127.0.0.2:9"), netip.MustParseAddrPort("127.0.0.3:9")
	for _, tt := range []struct {
		name    string
		family  int
		bind    netip.Addr
		connect netip.AddrPort
		client  netip.Addr // of the datagram
		server  netip.AddrPort
		options []int
		want    bool
	}{
		{"connected", unix.AF_INET, own, server, own, server, nil, true},
		{"not connected", unix.AF_INET, own, netip.AddrPort{}, own, server, nil, true},
		{"not bound to an address", unix.AF_INET, any4, netip.AddrPort{}, own, server, nil, true},
		{"bound to another address", unix.AF_INET, other.Addr(), netip.AddrPort{}, own, server, nil, false},
		{"connected to another server", unix.AF_INET, own, other, own, server, nil, true},
		{"IPv6", unix.AF_INET6, own6, netip.AddrPort{}, own6, netip.MustParseAddrPort("[2001:db8::1]:9"), nil, true},
		{"any IPv6", unix.AF_INET6, any6, netip.AddrPort{}, own6, netip.MustParseAddrPort("[2001:db8::1]:9"), nil, true},
		{"IPv4 by IPv6", unix.AF_INET6, any6, netip.AddrPort{}, own, server, nil, true},
		{"IPv6 only", unix.AF_INET6, any6, netip.AddrPort{}, own, server, []int{unix.IPV6_V6ONLY}, false},
		{"IPv4 for IPv6", unix.AF_INET, any4, netip.AddrPort{}, own6, netip.MustParseAddrPort("[2001:db8::1]:9"), nil, false},
	} {
		fd := testSocket(t, tt.family, unix.SOCK_DGRAM, 0, tt.options, netip.AddrPortFrom(tt.bind, 0))
		if tt.connect.IsValid() {
			if err := unix.Connect(fd, address(tt.family, tt.connect)); err != nil {
				t.Fatal(err)
			}
		}
		s, ok := f.Socket(flow.UDP, netip.AddrPortFrom(tt.client, name(t, fd).Port()), tt.server)
		if ok != tt.want || ok && s.UID != uint32(unix.Getuid()) {
			t.Errorf("%s: %+v, %t", tt.name, s, ok)
		}
		if !ok {
			continue
		}
		if got := find(t, f, s); got.PID != os.Getpid() {
			t.Errorf("%s: held by %+v, want %d", tt.name, got, os.Getpid())
		}
	}
	if s, ok := f.Socket(flow.UDP, netip.MustParseAddrPort("127.0.0.1:1"), server); ok {
		t.Errorf("no socket is %+v", s)
	}
}

// A socket is still the same when it has connected, and another at its port is not.
func TestIsStill(t *testing.T) {
	f := testFinder(t, patient)
	server, client := netip.MustParseAddrPort("127.0.0.2:9"), netip.MustParseAddrPort("127.0.0.1:0")
	options := []int{unix.SO_REUSEADDR, unix.SO_REUSEPORT}
	fd := testSocket(t, unix.AF_INET, unix.SOCK_DGRAM, 0, options, client)
	client = name(t, fd)
	s, ok := f.Socket(flow.UDP, client, server)
	if !ok || !f.IsStill(s, flow.UDP, client, server) {
		t.Fatalf("%+v, %t is another", s, ok)
	}
	may := f.sockets.may
	f.sockets.may = func(uint32) bool { return false }
	if !f.IsStill(s, flow.UDP, client, server) {
		t.Error("the question is asked from the budget of the user")
	}
	f.sockets.may = may
	if err := unix.Connect(fd, address(unix.AF_INET, server)); err != nil {
		t.Fatal(err)
	}
	if !f.IsStill(s, flow.UDP, client, server) {
		t.Error("it is another since it has connected")
	}
	unbound := netip.AddrPortFrom(netip.IPv4Unspecified(), client.Port())
	other := testSocket(t, unix.AF_INET, unix.SOCK_DGRAM, 0, options, unbound)
	elsewhere := netip.MustParseAddrPort("127.0.0.3:9")
	if f.IsStill(s, flow.UDP, client, elsewhere) {
		t.Error("two sockets at the port are the one")
	}
	if err := unix.Connect(other, address(unix.AF_INET, elsewhere)); err != nil {
		t.Fatal(err)
	}
	if f.IsStill(s, flow.UDP, name(t, other), elsewhere) {
		t.Error("another socket is the one")
	}
	if n := f.Stats().NotFound; n[NoSocket]+n[Shared] != 0 {
		t.Errorf("counted: %v", n)
	}
}

// Sockets that share a port have one owner, if they have one user and one process.
func TestSharedPort(t *testing.T) {
	f := testFinder(t, patient)
	server, client := netip.MustParseAddrPort("127.0.0.2:9"), netip.MustParseAddrPort("127.0.0.1:0")
	options := []int{unix.SO_REUSEADDR, unix.SO_REUSEPORT}
	first := testSocket(t, unix.AF_INET, unix.SOCK_DGRAM, 0, options, client)
	client = name(t, first)
	second := testSocket(t, unix.AF_INET, unix.SOCK_DGRAM, 0, options, client)
	s, ok := f.Socket(flow.UDP, client, server)
	if !ok || len(s.rest) != 1 {
		t.Fatalf("two sockets are %+v, %t", s, ok)
	}
	if got := find(t, f, s); got.PID != os.Getpid() {
		t.Errorf("held by %+v, want %d", got, os.Getpid())
	}
	s.rest = append(s.rest, 1) // as if another process held it
	if got := find(t, f, s); got.PID != 0 || f.Stats().NotFound[Shared] != 1 {
		t.Errorf("held by %+v, and others: %+v", got, f.Stats())
	}
	if err := unix.Connect(second, address(unix.AF_INET, server)); err != nil {
		t.Fatal(err)
	}
	connected, _ := socketInode(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(second), make([]byte, bufferSize))
	if s, ok := f.Socket(flow.UDP, client, server); !ok || s.inode != connected {
		t.Errorf("the first is %+v, want the connected one %d", s, connected)
	}
	if unix.Geteuid() != 0 {
		return
	}
	if err := unix.Fchown(second, 12345, -1); err != nil {
		t.Fatal(err)
	}
	other := netip.MustParseAddrPort("127.0.0.3:9")
	if s, ok := f.Socket(flow.UDP, client, other); ok || f.Stats().NotFound[Shared] != 2 {
		t.Errorf("sockets of two users are %+v: %+v", s, f.Stats())
	}
}

// Echo requests belong to the ping socket with their identifier, else to a raw socket.
func TestEchoSocket(t *testing.T) {
	if unix.Geteuid() != 0 {
		t.Skip("raw sockets take root")
	}
	ns := tuntest.NewNamespace(t) // other programs have raw sockets in this one
	var f *Finder
	ns.Sysctl("net.ipv4.ping_group_range", "0 2147483647")
	ns.Run("ip", "link", "set", "lo", "up")
	within(t, ns, func() { f = testFinder(t, patient) })
	null, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(null) })
	for _, tt := range []struct {
		family, proto  int
		client, server netip.AddrPort
	}{
		{unix.AF_INET, unix.IPPROTO_ICMP, netip.MustParseAddrPort("127.0.0.1:0"), netip.MustParseAddrPort("127.0.0.2:0")},
		{unix.AF_INET6, unix.IPPROTO_ICMPV6, netip.MustParseAddrPort("[::1]:0"), netip.MustParseAddrPort("[2001:db8::1]:0")},
	} {
		var raw, second int
		within(t, ns, func() { raw = testSocket(t, tt.family, unix.SOCK_RAW, tt.proto, nil, tt.client) })
		if err := unix.Fchown(raw, 12345, -1); err != nil { // its user, whom the kernel names
			t.Fatal(err)
		}
		s, ok := f.Socket(flow.ICMP, netip.AddrPortFrom(tt.client.Addr(), 77), tt.server)
		if !ok || s.UID != 12345 {
			t.Errorf("the raw socket is %+v, %t", s, ok)
		}
		if got := find(t, f, s); got.PID != os.Getpid() {
			t.Errorf("held by %+v, want %d", got, os.Getpid())
		}
		within(t, ns, func() {
			second = testSocket(t, tt.family, unix.SOCK_RAW, unix.IPPROTO_RAW, nil, tt.client)
		})
		if s, ok := f.Socket(flow.ICMP, netip.AddrPortFrom(tt.client.Addr(), 77), tt.server); ok {
			t.Errorf("raw sockets of two users are %+v", s)
		}
		var stat unix.Stat_t
		if err := unix.Fstat(second, &stat); err != nil {
			t.Fatal(err)
		}
		f.LeaveOut(func(inode uint32) bool { return uint64(inode) == stat.Ino })
		s, ok = f.Socket(flow.ICMP, netip.AddrPortFrom(tt.client.Addr(), 77), tt.server)
		if !ok || s.UID != 12345 {
			t.Errorf("beside one of the router the raw socket is %+v, %t", s, ok)
		}
		for _, fd := range []int{second, raw} { // whose numbers are closed once more at the end
			if err := unix.Dup3(null, fd, unix.O_CLOEXEC); err != nil {
				t.Fatal(err)
			}
		}
		var ping int
		within(t, ns, func() { ping = testSocket(t, tt.family, unix.SOCK_DGRAM, tt.proto, nil, tt.client) })
		client := name(t, ping)
		if s, ok := f.Socket(flow.ICMP, client, tt.server); !ok || s.UID != 0 {
			t.Errorf("the ping socket is %+v, %t", s, ok)
		}
		if s, ok := f.Socket(flow.ICMP, netip.AddrPortFrom(client.Addr(), client.Port()+1), tt.server); ok {
			t.Errorf("another identifier is %+v", s)
		}
	}
}

// within runs f in a network namespace.
func within(t *testing.T, ns *tuntest.Namespace, f func()) {
	t.Helper()
	if err := ns.Do(func() error { f(); return nil }); err != nil {
		t.Fatal(err)
	}
}

// A socket that a shell and its child hold may be used by either, whatever its number is there.
func TestInherited(t *testing.T) {
	for name, script := range map[string]string{
		"same descriptor":  "sleep 60 & trap 'kill $!' EXIT; echo; read end",
		"other descriptor": "sleep 60 9<&3 3<&- & trap 'kill $!' EXIT; echo; read end",
	} {
		t.Run(name, func(t *testing.T) { testInherited(t, script) })
	}
}

func testInherited(t *testing.T, script string) {
	t.Helper()
	f := testFinder(t, patient)
	client, server := netip.MustParseAddrPort("127.0.0.1:0"), netip.MustParseAddrPort("127.0.0.2:9")
	fd := testSocket(t, unix.AF_INET, unix.SOCK_DGRAM, 0, nil, client)
	client = name(t, fd)
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		t.Fatal(err)
	}
	inherited := os.NewFile(uintptr(dup), "inherited")
	shell := exec.Command("sh", "-c", script)
	shell.ExtraFiles = []*os.File{inherited}
	stdin, err := shell.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := shell.StdoutPipe()
	if err == nil {
		err = shell.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stdin.Close(); _ = shell.Wait() })
	_, _ = stdout.Read(make([]byte, 1))
	_ = inherited.Close()
	null, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err == nil {
		err = unix.Dup3(null, fd, unix.O_CLOEXEC) // ours is gone
	}
	if err != nil {
		t.Fatal(err)
	}
	s, ok := f.Socket(flow.UDP, client, server)
	if !ok {
		t.Fatal("no socket")
	}
	if got := find(t, f, s); got != (Process{}) || f.Stats().NotFound[Shared] != 1 {
		t.Errorf("held by %+v: %+v", got, f.Stats())
	}
}

func BenchmarkUDP(b *testing.B) {
	f := testFinder(b, patient)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer unix.Close(fd)
	server := netip.MustParseAddrPort("127.0.0.2:9")
	for _, connected := range []bool{false, true} {
		to := netip.MustParseAddrPort("127.0.0.1:0")
		if connected {
			err = unix.Connect(fd, address(unix.AF_INET, server))
		} else {
			err = unix.Bind(fd, address(unix.AF_INET, to))
		}
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("connected=%t", connected), func(b *testing.B) {
			f.budgets.all.SetLimit(1e9)
			f.budgets.of(uint32(unix.Getuid()), time.Now()).SetLimit(1e9)
			client := name(b, fd)
			b.ReportAllocs()
			for b.Loop() {
				if s, ok := f.Socket(flow.UDP, client, server); !ok {
					b.Fatalf("not found: %+v", s)
				}
			}
		})
	}
}
