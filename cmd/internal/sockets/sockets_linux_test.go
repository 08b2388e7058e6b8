package sockets

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"syntap/cmd/internal/channel"
	"syntap/tun/tuntest"
)

// pair returns the two ends of a socket that keeps messages apart.
func pair(t testing.TB) (a, b *net.UnixConn) {
	t.Helper()
	a, theirs, err := channel.Pair()
	if err == nil {
		t.Cleanup(func() { a.Close() })
		b, err = channel.Socket(theirs)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return a, b
}

// start returns a pool, and its server, which serves until the pool is closed.
func start(t testing.TB, s Settings) (*Pool, *Server) {
	t.Helper()
	ours, theirs := pair(t)
	v := NewServer(theirs, s)
	served := make(chan error, 1)
	go func() { served <- v.Serve() }()
	p := NewPool(ours)
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return p, v
}

func requireRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("marks take root")
	}
}

// option returns a socket's option of the level SOL_SOCKET.
func option(t testing.TB, fd, name int) int {
	t.Helper()
	v, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, name)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// All kinds of sockets come marked, without a flag missing, and with the buffers that only the
// server may give.
func TestOpen(t *testing.T) {
	requireRoot(t)
	const buffer = 5 << 20
	p, _ := start(t, Settings{Mark: 77, Interface: "lo", Buffer: buffer})
	for _, a := range all[:routes] {
		for range 3 * firstBatch {
			fd, err := p.Open(a.family, a.typ, a.proto)
			if errors.Is(err, unix.EACCES) && a.typ == unix.SOCK_DGRAM && a.proto != 0 {
				break // net.ipv4.ping_group_range
			}
			if err != nil {
				t.Fatalf("%+v: %v", a, err)
			}
			defer unix.Close(fd)
			if got := (arguments{option(t, fd, unix.SO_DOMAIN), option(t, fd, unix.SO_TYPE), a.proto}); got != a {
				t.Fatalf("got %+v, want %+v", got, a)
			}
			if mark := option(t, fd, unix.SO_MARK); mark != 77 {
				t.Errorf("%+v has the mark %d", a, mark)
			}
			if device, _ := unix.GetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE); device != "lo" {
				t.Errorf("%+v is bound to %q", a, device)
			}
			flags, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
			cloexec, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
			if flags&unix.O_NONBLOCK == 0 || cloexec&unix.FD_CLOEXEC == 0 {
				t.Errorf("%+v has the flags %#x and %#x", a, flags, cloexec)
			}
			if size := option(t, fd, unix.SO_RCVBUF); (size == 2*buffer) == (a.typ == unix.SOCK_STREAM) {
				t.Errorf("%+v has a buffer of %d bytes", a, size)
			}
		}
	}
	if fd, err := p.Open(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE); err != nil {
		t.Errorf("a socket to ask for routes: %v", err)
	} else {
		_ = unix.Close(fd)
	}
	if _, err := p.Open(unix.AF_UNIX, unix.SOCK_STREAM, 0); !errors.Is(err, unix.EPROTONOSUPPORT) {
		t.Errorf("a socket of unix(7): %v", err)
	}
}

// Many goroutines get sockets of their own, more than one batch, while settings change.
func TestOpenAtOnce(t *testing.T) {
	t.Parallel()
	p, v := start(t, Settings{})
	const goroutines, each = 8, 3 * Batch / 2
	var mu sync.Mutex
	seen := make(map[int]bool)
	var all sync.WaitGroup
	for range goroutines {
		all.Go(func() {
			for i := range each {
				if i == each/2 {
					v.SetSettings(Settings{})
					p.Renew()
				}
				fd, err := p.Open(unix.AF_INET, unix.SOCK_STREAM, 0)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if seen[fd] {
					t.Errorf("descriptor %d came twice", fd)
				}
				seen[fd] = true
				mu.Unlock()
			}
		})
	}
	all.Wait()
	for fd := range seen {
		_ = unix.Close(fd)
	}
	if len(seen) != goroutines*each {
		t.Errorf("%d sockets came, want %d", len(seen), goroutines*each)
	}
}

// After a change of settings no socket has those of before.
func TestRenew(t *testing.T) {
	requireRoot(t)
	p, v := start(t, Settings{Mark: 1})
	open := func() int {
		fd, err := p.Open(unix.AF_INET, unix.SOCK_STREAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		return option(t, fd, unix.SO_MARK)
	}
	if mark := open(); mark != 1 {
		t.Errorf("the mark is %d", mark)
	}
	v.SetSettings(Settings{Mark: 2})
	p.Renew()
	for range 2 * Batch {
		if mark := open(); mark != 2 {
			t.Fatalf("the mark is %d after it was changed", mark)
		}
	}
}

// A socket is bound to a system port; one of another family is not.
func TestOwnSocket(t *testing.T) {
	requireRoot(t)
	p, _ := start(t, Settings{})
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	bound := false
	for port := uint16(700); port < 1024 && !bound; port++ {
		err = p.Bind(fd, netip.AddrPortFrom(netip.IPv6Loopback(), port))
		bound = err == nil
	}
	if sa, _ := unix.Getsockname(fd); !bound || sa.(*unix.SockaddrInet6).Port < 700 {
		t.Errorf("Bind: %v, at %+v", err, sa)
	}
	if err := p.Bind(fd, netip.MustParseAddrPort("[::1]:1024")); !errors.Is(err, unix.EINVAL) {
		t.Errorf("a port that needs no privilege: %v", err)
	}
	file, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(file)
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for _, other := range []int{file, int(null.Fd())} {
		if err := p.Bind(other, netip.MustParseAddrPort("127.0.0.1:900")); err == nil {
			t.Errorf("descriptor %d was bound", other)
		}
	}
}

// The error of the kernel comes through, and no descriptor is lost by it.
func TestOpenFails(t *testing.T) {
	p, v := start(t, Settings{Interface: "none"})
	requireRoot(t)
	if _, err := p.Open(unix.AF_INET, unix.SOCK_STREAM, 0); !errors.Is(err, unix.ENODEV) {
		t.Errorf("a socket of an interface that is not there: %v", err)
	}
	v.SetSettings(Settings{})
	before := descriptors(t)
	for range 4 * Batch {
		fd, err := p.Open(unix.AF_INET, unix.SOCK_DGRAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		_ = unix.Close(fd)
	}
	tuntest.Wait(t, "only a stock to be left", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return descriptors(t) <= before+len(p.stocks[udp4].fds)
	})
}

func descriptors(t testing.TB) int {
	t.Helper()
	names, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

// A pool whose server is gone says so, and does not wait.
func TestServerIsGone(t *testing.T) {
	t.Parallel()
	ours, theirs := pair(t)
	p := NewPool(ours)
	theirs.Close()
	for range 2 {
		if fd, err := p.Open(unix.AF_INET, unix.SOCK_STREAM, 0); err == nil {
			t.Errorf("descriptor %d came of a server that is gone", fd)
		}
	}
	_ = p.Close()
	if _, err := p.Open(unix.AF_INET, unix.SOCK_STREAM, 0); err == nil {
		t.Error("a socket came of a pool that was closed")
	}
}

// FuzzServer has a router say anything: each message has one answer, and the server goes on.
func FuzzServer(f *testing.F) {
	f.Add([]byte{}, false)
	f.Add((&request{Op: opOpen, Kind: tcp4, Count: 2}).marshal(), false)
	f.Add((&request{Op: opOpen, Kind: kinds, Count: 1}).marshal(), false)
	f.Add((&request{Op: opOpen, Kind: tcp6, Count: Batch + 1}).marshal(), true)
	f.Add((&request{Op: opBind, Port: 1, Zone: 1 << 31}).marshal(), true)
	f.Add(append((&request{Op: opBind}).marshal(), 0), true)
	f.Add((&request{Op: opAttach, Ack: 1, Seq: 2}).marshal(), true)
	f.Add((&request{Op: opAttach}).marshal(), false)
	f.Fuzz(func(t *testing.T, message []byte, along bool) {
		if len(message) == 0 {
			return // the end, to the server
		}
		ours, theirs := pair(t)
		served := make(chan error, 1)
		v := NewServer(theirs, Settings{})
		go func() { served <- v.Serve() }()
		var fds []int
		if along {
			fds = append(fds, must(unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)))
			defer unix.Close(fds[0])
		}
		for range 2 {
			if err := send(ours, message, fds...); err != nil {
				t.Fatal(err)
			}
			var b [8]byte
			n, got, err := receive(ours, b[:], Batch)
			closeAll(got)
			if err != nil || n == 0 {
				t.Fatalf("%x has the answer %q, %v", message, b[:n], err)
			}
		}
		ours.Close()
		if err := <-served; err != nil && !errors.Is(err, io.EOF) {
			t.Errorf("Serve: %v", err)
		}
	})
}

func must(fd int, err error) int {
	if err != nil {
		panic(err)
	}
	return fd
}

// BenchmarkOpen takes a socket from the pool and closes it, beside one made in place.
func BenchmarkOpen(b *testing.B) {
	b.Run("pool", func(b *testing.B) {
		p, _ := start(b, Settings{})
		for b.Loop() {
			fd, err := p.Open(unix.AF_INET, unix.SOCK_STREAM, 0)
			if err != nil {
				b.Fatal(err)
			}
			_ = unix.Close(fd)
		}
	})
	b.Run("in place", func(b *testing.B) {
		for b.Loop() {
			_ = unix.Close(must(unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)))
		}
	})
}
