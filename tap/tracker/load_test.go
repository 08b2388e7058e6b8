package tracker_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"syntap/tap/taptest"
	"syntap/tap/tracker"
	"syntap/tun/tuntest"
)

// TestReplayFlood fills the table of a capture: the oldest handshakes end early, none is lost.
func TestReplayFlood(t *testing.T) {
	t.Parallel()
	const handshakes, limit = 1000, 10
	var rec taptest.Recorder
	o := rec.Options()
	o.HalfOpen = limit
	tr := tracker.New(o)
	for i := range uint16(handshakes) {
		s := taptest.SYN()
		s.Src = netip.AddrPortFrom(s.Src.Addr(), 1+i)
		capture(tr, taptest.Epoch, s.Packet())
	}
	if s := tr.Stats(); s.HalfOpen != limit || s.Evicted != handshakes-limit {
		t.Errorf("%d half open, %d evicted; want %d, %d", s.HalfOpen, s.Evicted, limit, handshakes-limit)
	}
	tr.Flush()
	for s := tracker.StateNone + 1; s < tracker.States; s++ {
		if n := tr.Count(s); n != 0 {
			t.Errorf("%d flows left in state %d, want 0", n, s)
		}
	}
	var ports []int
	for _, r := range rec.Records {
		ports = append(ports, int(r.Client.Port()))
	}
	if len(ports) != handshakes || !slices.IsSorted(ports) {
		t.Errorf("records of %d handshakes, in order: %t; want %d, true", len(ports), slices.IsSorted(ports), handshakes)
	}
}

// TestReplayEvictsTheOldest has room for two handshakes: the first to go is the one that began
// first, answered or not.
func TestReplayEvictsTheOldest(t *testing.T) {
	t.Parallel()
	var rec taptest.Recorder
	o := rec.Options()
	o.HalfOpen = 2
	tr := tracker.New(o)
	observe := func(s tuntest.TCP) {
		capture(tr, taptest.Epoch, s.Packet())
	}
	s := taptest.SYN()
	for i := range uint32(4) {
		s.Src = netip.AddrPortFrom(s.Src.Addr(), uint16(1+i))
		s.Seq = 1000 * i
		observe(s)
		if i%2 == 0 {
			observe(tuntest.TCP{Src: s.Dst, Dst: s.Src, Seq: 7, Ack: s.Seq + 1, Flags: tuntest.SYN | tuntest.ACK})
		}
	}
	want := []string{"half_open 0/7: S SA", "no_reply 1000: S"}
	if diff := cmp.Diff(want, rec.Take()); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

// TestReplayEvictsAnotherFlow begins a handshake on a flow that the one evicted for it has pushed
// out of the table. It is followed all the same.
func TestReplayEvictsAnotherFlow(t *testing.T) {
	t.Parallel()
	var rec taptest.Recorder
	o := rec.Options()
	o.HalfOpen, o.Limits = 1, tracker.DefaultLimits(1)
	tr := tracker.New(o)
	play := func(port uint16, text string) {
		for _, s := range taptest.Script(t, text) {
			end := &s.TCP.Src
			if s.FromServer {
				end = &s.TCP.Dst
			}
			*end = netip.AddrPortFrom(end.Addr(), port)
			capture(tr, taptest.Epoch, s.TCP.Packet())
		}
	}
	play(1, "> S 1000\n< RA 0 1001")
	play(2, "> S 3000\n< SA 7000 3001")
	play(1, "> S 2000\n< SA 5000 2001\n> A 2001 5001")
	want := []string{"refused 1000: S RA", "half_open 3000/7000: S SA", "established 2000/5000: S SA A"}
	if diff := cmp.Diff(want, rec.Take()); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}
