//go:build linux

package router

import (
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"syntap/cmd/internal/owner"
	"syntap/cmd/internal/record"
	"syntap/tap/handshake"
	"syntap/tap/tcpdump"
	"syntap/tun/flow"
	"syntap/tun/tuntest"
)

// configs/records.md explains each reason for which an owner is not known.
func TestReasonsAreExplained(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../configs/records.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range owner.Reasons() {
		if n := strings.Count(string(text), "\n| `"+string(r)+"` | "); n != 1 {
			t.Errorf("%s: explained %d times", r, n)
		}
	}
}

// unanswered begins a connection to a listener that answers no more, and returns its addresses.
func unanswered(t *testing.T) func(from [4]byte) (client, server netip.AddrPort) {
	t.Helper()
	socket := func() int {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Close(fd) })
		return fd
	}
	name := func(fd int) netip.AddrPort {
		sa, err := unix.Getsockname(fd)
		if err != nil {
			t.Fatal(err)
		}
		return netip.AddrPortFrom(netip.AddrFrom4(sa.(*unix.SockaddrInet4).Addr), uint16(sa.(*unix.SockaddrInet4).Port))
	}
	bind := func(from [4]byte) int {
		fd := socket()
		if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: from}); err != nil {
			t.Fatal(err)
		}
		return fd
	}
	l := bind([4]byte{127, 0, 0, 1})
	if err := unix.Listen(l, 0); err != nil {
		t.Fatal(err)
	}
	server := name(l)
	connect := func(from [4]byte) (netip.AddrPort, netip.AddrPort) {
		fd := bind(from)
		if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: server.Addr().As4(), Port: int(server.Port())}); err != nil && err != unix.EINPROGRESS {
			t.Fatal(err)
		}
		return name(fd), server
	}
	for range 2 { // the backlog
		connect([4]byte{127, 0, 0, 1})
	}
	return connect
}

// newFinder returns a finder whose searches another one makes.
func newFinder(t *testing.T) *owner.Remote {
	t.Helper()
	searching, err := owner.NewFinder(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = searching.Close() })
	var finder *owner.Remote
	ask := func(questions []byte) bool {
		questions = slices.Clone(questions)
		go func() { // finder holds a lock while it asks
			take := func(answer []byte) {
				if err := finder.Take(answer); err != nil {
					t.Error(err)
				}
			}
			if err := searching.Serve(questions, take); err != nil {
				t.Error(err)
			}
		}()
		return true
	}
	if finder, err = owner.NewRemote(nil, ask, nil); err != nil {
		t.Fatal(err)
	}
	return finder
}

// A record names the process that was looked for when its SYN passed, or at the latest before its
// client is answered. Others name none, and do not wait. The test is not parallel: a child of this
// process, until it executes its program, holds this process's sockets too.
func TestAttribution(t *testing.T) {
	records := make(chan *record.Attributed, 1)
	machine := netip.MustParseAddr("127.0.0.1")
	a := newAttribution(newFinder(t), func(addr netip.Addr) bool { return addr == machine }, func(r *record.Attributed) { records <- r })
	a.ask(programs, logrus.New())
	connect := unanswered(t)
	client, server := connect(machine.As4())
	other, _ := connect([4]byte{127, 0, 0, 2})
	syn := make([]byte, 40)
	syn[0], syn[9], syn[33] = 0x45, 6, 0x02
	// On a machine with many processes the first search may be cut short. It goes on by itself, and
	// the next ones know more.
	isn := uint32(1 << 20)
	tuntest.Wait(t, "the process to be found", func() bool {
		isn++
		answered := make(chan struct{})
		a.segment(flow.Key{Client: client, Server: server, ISN: isn}, handshake.Segment{Packet: tcpdump.Packet{Data: syn, Length: len(syn)}, TCP: 20})
		a.beforeAnswer(flow.Key{Client: client, Server: server, ISN: isn}, func() { close(answered) })
		<-answered
		a.record(&handshake.Record{Client: client, Server: server, ClientISN: isn})
		r := <-records
		return r.Opening.Owner != nil && r.Opening.Owner.PID != 0
	})
	for i, tt := range []struct {
		name           string
		client         netip.AddrPort
		seen, answered bool // the SYN; the dial
		want           int  // process
	}{
		{"that comes at once", client, true, false, os.Getpid()},
		{"of an attempt that is answered", client, true, true, os.Getpid()},
		{"whose SYN was not seen in time", client, false, true, os.Getpid()},
		{"of an attempt that neither was seen nor answered", client, false, false, 0},
		{"of no process", netip.AddrPortFrom(machine, 1), true, true, 0},
		{"of another machine", other, true, true, 0},
	} {
		isn := uint32(i)
		if tt.seen {
			a.segment(flow.Key{Client: tt.client, Server: server, ISN: isn}, handshake.Segment{Packet: tcpdump.Packet{Data: syn, Length: len(syn)}, TCP: 20})
		}
		answered := make(chan struct{})
		if tt.answered {
			a.beforeAnswer(flow.Key{Client: tt.client, Server: server, ISN: isn}, func() { close(answered) })
			select {
			case <-answered:
			case <-time.After(30 * time.Second):
				t.Fatalf("the client of a record %s is not answered", tt.name)
			}
		}
		a.record(&handshake.Record{Client: tt.client, Server: server, ClientISN: isn})
		pid := 0
		if r := <-records; r.Opening.Owner != nil {
			pid = r.Opening.Owner.PID
		}
		if pid != tt.want {
			t.Errorf("a record %s names process %d, want %d", tt.name, pid, tt.want)
		}
	}
	unanswered := flow.Key{Client: client, Server: server, ISN: 100}
	a.segment(unanswered, handshake.Segment{Packet: tcpdump.Packet{Data: syn, Length: len(syn)}, TCP: 20})
	tuntest.Wait(t, "the owner of an attempt that nothing answers", func() bool { return a.owner(unanswered).PID == os.Getpid() })
	found := a.status().Found
	a.segment(flow.Key{Client: client, Server: server}, handshake.Segment{Packet: tcpdump.Packet{Data: syn, Length: len(syn)}, TCP: 20})
	if again := a.status().Found; again != found {
		t.Error("the owner of a SYN that comes again is counted again")
	}
	k := flow.Key{Client: client, Server: server}
	a.record(&handshake.Record{Client: client, Server: server, Outcome: handshake.Established})
	if (<-records).Opening.Owner == nil || a.owner(k) != nil {
		t.Error("the attempt of an open connection is kept, or had no owner")
	}
	for i := range uint32(2*maxAttempts + 10) {
		a.mu.Lock()
		a.attempts[flow.Key{Client: client, ISN: i}] = new(attributed)
		a.mu.Unlock()
		if i%1000 == 0 {
			a.beforeAnswer(flow.Key{Client: netip.AddrPortFrom(machine, 1), Server: server, ISN: i}, func() {})
		}
	}
	if n := len(a.attempts) + len(a.older); n > 2*maxAttempts+1000 {
		t.Errorf("%d attempts are kept, want %d", n, 2*maxAttempts)
	}
	if err := a.close(); err != nil {
		t.Error(err)
	}
}
