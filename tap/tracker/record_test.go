package tracker_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"syntap/tap/handshake"
	"syntap/tap/taptest"
	"syntap/tap/tracker"
)

func TestDelays(t *testing.T) {
	t.Parallel()
	const unknown = -1
	tests := []struct {
		name, script string
		synack, ack  time.Duration
	}{
		{"ordinary", "> S 1\n< SA 5 2 +30ms\n> A 2 6 +2ms", 30 * time.Millisecond, 2 * time.Millisecond},
		{"SYN again", "> S 1\n> S 1 +1s\n< SA 5 2 +30ms\n> A 2 6 +2ms", unknown, 2 * time.Millisecond},
		{"SYN again too late to matter", "> S 1\n< SA 5 2 +30ms\n> S 1\n> A 2 6 +1ms", 30 * time.Millisecond, 2 * time.Millisecond},
		{"SYN-ACK again", "> S 1\n< SA 5 2 +30ms\n< SA 5 2 +1s\n> A 2 6 +2ms", 30 * time.Millisecond, unknown},
		{"third segment missing", "> S 1\n< SA 5 2 +30ms\n> PA 9 6 len 3 +2ms", 30 * time.Millisecond, unknown},
		{"SYN-ACK missing", "> S 1\n> PA 2 6 len 3\n< PA 6 5 len 4", unknown, unknown},
		{"no answer", "> S 1", unknown, unknown},
		{"half open", "> S 1\n< SA 5 2 +9ms", 9 * time.Millisecond, unknown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := replay(t, tt.script)[0]
			if r.SYNACKDelay != tt.synack || r.ACKDelay != tt.ack {
				t.Errorf("delays = %v, %v, want %v, %v", r.SYNACKDelay, r.ACKDelay, tt.synack, tt.ack)
			}
			if want := taptest.Epoch.Add(time.Millisecond); !r.Time.Equal(want) {
				t.Errorf("time = %v, want %v", r.Time, want)
			}
		})
	}
}

func TestStats(t *testing.T) {
	t.Parallel()
	tr := tracker.New(tracker.Options{})
	for i, text := range []string{taptest.Handshake, taptest.Handshake, taptest.Handshake + "> R 1001", "> S 1000", "> S 1000\n< SA 5000 1001", "> S 1000\n< RA 0 1001"} {
		for _, s := range taptest.Script(t, text) {
			port := uint16(1 + i)
			s.TCP.Src, s.TCP.Dst = netip.AddrPortFrom(s.TCP.Src.Addr(), port), netip.AddrPortFrom(s.TCP.Dst.Addr(), port)
			capture(tr, taptest.Epoch, s.TCP.Packet())
		}
	}
	tr.Settle()
	want := tracker.Stats{
		Handshakes: map[handshake.Outcome]uint64{handshake.Established: 3, handshake.Refused: 1, handshake.Unreachable: 0, handshake.Denied: 0, handshake.Aborted: 0, handshake.NoReply: 0, handshake.HalfOpen: 0},
		HalfOpen:   2,
		Flows:      2,
	}
	if diff := cmp.Diff(want, tr.Stats()); diff != "" {
		t.Errorf("stats (-want +got):\n%s", diff)
	}
}

// TestShownSegmentsAreBounded sends one SYN so often that a record of all would be a way to fill
// the memory.
func TestShownSegmentsAreBounded(t *testing.T) {
	t.Parallel()
	const kept = 64
	text := ""
	for range 10 * kept {
		text += "> S 1000 +1s\n"
	}
	r := replay(t, text)[0]
	if len(r.Segments) != kept || r.SYNRetransmits != 10*kept-1 {
		t.Errorf("%d segments shown, %d retransmissions, want %d, %d", len(r.Segments), r.SYNRetransmits, kept, 10*kept-1)
	}
}
