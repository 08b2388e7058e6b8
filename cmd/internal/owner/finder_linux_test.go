package owner

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tap"
)

// connect opens a connection to a listener that never accepts, and returns its addresses.
func connect(t testing.TB, l net.Listener) (local, remote netip.AddrPort) {
	t.Helper()
	conn, err := net.Dial(l.Addr().Network(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	local, remote = conn.LocalAddr().(*net.TCPAddr).AddrPort(), conn.RemoteAddr().(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(local.Addr().Unmap(), local.Port()), netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port())
}

func listen(t testing.TB, network, address string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestFind(t *testing.T) {
	t.Parallel()
	f, err := NewFinder()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	comm := filepath.Base(executable)
	comm = comm[:min(len(comm), 15)] // TASK_COMM_LEN
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		l := listen(t, "tcp", address)
		for range 5 {
			local, remote := connect(t, l)
			got, ok := f.Find(local, remote)
			if want := (tap.Owner{UID: uint32(unix.Getuid()), PID: os.Getpid(), Process: comm}); !ok || got != want && !strings.HasPrefix(comm, got.Process) {
				t.Errorf("Find(%v, %v) = %+v, %t, want %+v", local, remote, got, ok, want)
			}
		}
	}
	if o, ok := f.Find(netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("198.51.100.2:2")); ok {
		t.Errorf("found %+v for a connection that is not there", o)
	}
}

// Looking has a budget; what is known is answered without.
func TestSearchBudget(t *testing.T) {
	t.Parallel()
	p := newProcesses()
	p.find(1) // no socket
	if p.looks == 0 || p.budget.Tokens() >= savedLooks {
		t.Errorf("%d looks, and %.0f are left", p.looks, p.budget.Tokens())
	}
	clear(p.known)
	p.budget.SetLimit(0)
	p.budget.ReserveN(time.Now(), int(p.budget.Tokens()))
	p.known[2] = 42
	if pid := p.find(2); pid != 42 {
		t.Errorf("what is known is answered with %d", pid)
	}
	if p.find(1); len(p.known) != 0 {
		t.Error("searched without a budget")
	}
}

// A process that has some connections at a time has the next ones under the same descriptors: few are read to find one.
func TestSameDescriptors(t *testing.T) {
	t.Parallel()
	p := newProcesses()
	self := os.Getpid()
	var inodes []uint32
	for range maxOfOne {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		inodes = append(inodes, p.inode(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(fd)))
	}
	find := func() {
		for _, inode := range inodes {
			clear(p.known) // what the search for the others has come across
			if pid := p.find(inode); pid != self {
				t.Errorf("socket %d is held by %d, want %d", inode, pid, self)
			}
		}
	}
	find()
	before := p.looks
	find()
	if looks := p.looks - before; looks > maxOfOne*maxOfOne {
		t.Errorf("%d descriptors were read for %d sockets", looks, maxOfOne)
	}
}

// A process with many connections does not drive the others out.
func TestRecent(t *testing.T) {
	t.Parallel()
	p := newProcesses()
	p.used(0, holder{1, "3"})
	for i := range 10 * maxRecent {
		p.used(len(p.recent), holder{2, strconv.Itoa(i)})
	}
	if pids := p.recentPIDs(); len(pids) != 2 || len(p.recent) != maxOfOne+1 {
		t.Errorf("%d holders of the processes %v, want %d of 2 and 1", len(p.recent), pids, maxOfOne+1)
	}
	for i := range 2 * maxRecent {
		p.used(len(p.recent), holder{3 + i, "3"})
	}
	if len(p.recent) != maxRecent {
		t.Errorf("%d holders, want %d", len(p.recent), maxRecent)
	}
}

// Finding has a budget.
func TestAllow(t *testing.T) {
	t.Parallel()
	f, err := NewFinder()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.budget.SetLimit(0)
	for i := range savedFinds {
		if !f.Allow() {
			t.Fatalf("%d were allowed, want %d", i, savedFinds)
		}
	}
	if f.Allow() {
		t.Errorf("more than %d were allowed", savedFinds)
	}
}

func BenchmarkFind(b *testing.B) {
	f, err := NewFinder()
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	local, remote := connect(b, listen(b, "tcp", "127.0.0.1:0"))
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := f.Find(local, remote); !ok {
			b.Fatal("not found")
		}
	}
}
