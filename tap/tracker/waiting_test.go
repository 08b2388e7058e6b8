package tracker_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"syntap/tap/handshake"
	"syntap/tap/taptest"
	"syntap/tap/tracker"
	"syntap/tun/packet"
	"syntap/tun/tuntest"
)

// TestEarlyWindow puts a SYN-ACK ahead of its SYN by much time or many segments. Either may be
// much, but not both.
func TestEarlyWindow(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		segments int
		ahead    time.Duration
		want     string
	}{
		{0, time.Hour, "established 1000/5000: S SA A"},
		{900, time.Minute, "established 1000/5000: S SA A"},
		{5000, 900 * time.Millisecond, "established 1000/5000: S SA A"},
		{1100, 2 * time.Second, "no_reply 1000: S"},
	} {
		var rec taptest.Recorder
		tr := tracker.New(rec.Options())
		steps := taptest.Script(t, taptest.Handshake)
		observe := func(at time.Duration, s tuntest.TCP) {
			capture(tr, taptest.Epoch.Add(at), s.Packet())
		}
		observe(0, steps[1].TCP)
		between := steps[2].TCP
		between.Dst = netip.MustParseAddrPort("203.0.113.1:80")
		for range tt.segments {
			observe(tt.ahead, between)
		}
		observe(tt.ahead, steps[0].TCP)
		observe(tt.ahead, steps[2].TCP)
		tr.Flush()
		if diff := cmp.Diff([]string{tt.want}, rec.Take()); diff != "" {
			t.Errorf("%d segments and %v ahead: records (-want +got):\n%s", tt.segments, tt.ahead, diff)
		}
	}
}

// TestSettle hands out verdicts that might still change. Later segments make no second record of
// the same verdict.
func TestSettle(t *testing.T) {
	t.Parallel()
	var rec taptest.Recorder
	tr := tracker.New(rec.Options())
	play := func(text string) {
		for _, s := range taptest.Script(t, text) {
			capture(tr, taptest.Epoch, s.TCP.Packet())
		}
	}
	play("> S 1000\n< RA 0 1001")
	if got := rec.Take(); len(got) > 0 {
		t.Errorf("records %q before the end of the silence", got)
	}
	tr.Settle()
	play("> S 1000\n< RA 0 1001")
	tr.Settle()
	if diff := cmp.Diff([]string{"refused 1000: S RA"}, rec.Take()); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	play("> S 1000\n< SA 5000 1001\n> A 1001 5001")
	if diff := cmp.Diff([]string{"established 1000/5000: S SA A"}, rec.Take()); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

// TestWaitingIsBounded has more flows wait for segments that change their verdicts than have room.
func TestWaitingIsBounded(t *testing.T) {
	t.Parallel()
	const flows = 40000
	var rec taptest.Recorder
	o := rec.Options()
	o.HalfOpen = flows / 4
	tr := tracker.New(o)
	observe := func(s tuntest.TCP) {
		capture(tr, taptest.Epoch, s.Packet())
	}
	for i := range uint16(flows) {
		s := taptest.SYN()
		s.Src = netip.AddrPortFrom(s.Src.Addr(), 1+i)
		observe(s)
		observe(tuntest.TCP{Src: s.Dst, Dst: s.Src, Ack: 1001, Flags: packet.RST | packet.ACK})
		s.Src = netip.AddrPortFrom(netip.MustParseAddr("192.0.2.9"), 1+i)
		observe(tuntest.TCP{Src: s.Dst, Dst: s.Src, Ack: 1001, Flags: packet.SYN | packet.ACK})
	}
	for _, s := range []tracker.State{tracker.StateSettling, tracker.StateEarly} {
		if n := tr.Count(s); n > flows/2 {
			t.Errorf("%d of %d flows wait in state %d", n, flows, s)
		}
	}
	if s := tr.Stats(); s.Hurried != flows-flows/4 || s.Evicted != 0 {
		t.Errorf("%d verdicts fell early, %d handshakes ended; want %d, 0", s.Hurried, s.Evicted, flows-flows/4)
	}
	tr.Flush()
	refused := 0
	for _, r := range rec.Records {
		if r.Outcome == handshake.Refused {
			refused++
		}
	}
	if refused != flows || len(rec.Records) != flows {
		t.Errorf("%d records, %d refused; want %d", len(rec.Records), refused, flows)
	}
}
