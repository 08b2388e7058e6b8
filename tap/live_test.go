package tap

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"syntap/tap/handshake"
	"syntap/tap/taptest"
	"syntap/tap/tcpdump"
	"syntap/tap/tracker"
	"syntap/tun"
	"syntap/tun/flow"
	"syntap/tun/tuntest"
)

// TestThirdSegment checks which segments reach a router that waits for a third one. Netstack's
// Forwarder would take anything with an ACK for it.
func TestThirdSegment(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, script, want, records string }{
		{"ordinary", taptest.Handshake, "pass pass pass", "established 1000/5000: S SA A"},
		{"ack too low", "> S 1000\n< SA 5000 1001\n> A 1001 5000", "pass pass third_segment", "half_open 1000/5000: S SA"},
		{"ack too high", "> S 1000\n< SA 5000 1001\n> A 1001 5002", "pass pass third_segment", "half_open 1000/5000: S SA"},
		{"seq too high", "> S 1000\n< SA 5000 1001\n> A 1002 5001", "pass pass third_segment", "half_open 1000/5000: S SA"},
		{"seq too low", "> S 1000\n< SA 5000 1001\n> A 1000 5001", "pass pass third_segment", "half_open 1000/5000: S SA"},
		{"FIN without ACK", "> S 1000\n< SA 5000 1001\n> F 1001", "pass pass third_segment", "half_open 1000/5000: S SA"},
		{"before the SYN-ACK", "> S 1000\n> A 1001 5001", "pass third_segment", "no_reply 1000: S"},
		{"forged SYN-ACK", "> S 1000\n> SA 5000 1001\n> A 1001 5001", "pass synack third_segment", "no_reply 1000: S"},
		{"RST in the window", "> S 1000\n< SA 5000 1001\n> R 1002\n> R 1001", "pass pass third_segment pass", "aborted by client 1000/5000: S SA R"},
		{"RST of the router", "> S 1000\n< SA 5000 1001\n< R 5001\n> A 1001 5001", "pass pass pass pass", "aborted by server 1000/5000: S SA R"},
		{"after the abort by RST", "> S 1000\n< SA 5000 1001\n> R 1001\n> A 1001 5001", "pass pass pass pass", "aborted by client 1000/5000: S SA R"},
		{
			"SYN-ACK after an abort while dialling", "> S 1000\n> R 1001\n> A 1001 7\n< SA 5000 1001\n> A 1001 5001\n> R 1001\n> A 1001 5001",
			"pass pass third_segment pass third_segment pass pass", "aborted by client 1000: S R",
		},
		{"SYN-ACK without a SYN", "< SA 5000 1001\n> A 1001 5001", "pass third_segment", ""},
		{
			"old SYN-ACK after a new SYN", "> S 1000\n> S 2000\n< SA 5000 1001\n> A 1001 5001\n> R 1001\n> S 2000\n< SA 6000 2001\n> A 2001 6001",
			"pass pass pass third_segment pass pass pass pass",
			"no_reply 1000: S\nestablished 2000/6000 again 1/0: S SA S SA A",
		},
		{
			"new SYN after the SYN-ACK", "> S 1000\n< SA 5000 1001\n> S 2000\n> A 2001 5001\n> A 1001 5001", "pass pass pass third_segment pass",
			"established 1000/5000 conflict syn: S SA A",
		},
		{
			"RST in the window after a new SYN", "> S 1000\n< SA 5000 1001\n> S 2000\n> R 1005", "pass pass pass third_segment",
			"half_open 1000/5000: S SA",
		},
		{
			"data of a connection under a forged SYN", taptest.Handshake + "> S 77\n> PA 1001 5001 len 4\n< A 5001 1005", "pass pass pass pass pass pass",
			"established 1000/5000: S SA A",
		},
		{"SYN-ACK again after the third segment", taptest.Handshake + "< SA 5000 1001\n> A 1001 5001", "pass pass pass pass pass", "established 1000/5000: S SA A"},
		{"SYN of the router", "< S 1000\n> SA 5000 1001", "pass synack", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, Options{})
			if diff := cmp.Diff(fields(tt.want), w.play(tt.script)); diff != "" {
				t.Errorf("script:\n%s\nfates (-want +got):\n%s", tt.script, diff)
			}
			w.tap.Flush()
			w.wantRecords(tt.records)
		})
	}
}

// TestAdmission keeps new handshakes out, with and without an ICMP error; those that have begun
// continue.
func TestAdmission(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		admission flow.Admission
		want      string
		records   string
		answers   int
	}{
		{"admit", flow.Admit, "pass pass", "no_reply 1000 again 1/0: S S", 0},
		{"wait", flow.Wait, "waiting waiting", "", 0},
		{"refuse", flow.Refuse, "refused refused", "", 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, Options{Admission: func(time.Time) flow.Admission { return tt.admission }})
			if diff := cmp.Diff(fields(tt.want), w.play("> S 1000\n> S 1000")); diff != "" {
				t.Errorf("fates (-want +got):\n%s", diff)
			}
			if got := len(w.link.inbound); got != tt.answers {
				t.Errorf("%d answers, want %d", got, tt.answers)
			}
			w.tap.Flush()
			w.wantRecords(tt.records)
		})
	}
	admission := flow.Admit
	w := newWorld(t, Options{Admission: func(time.Time) flow.Admission { return admission }})
	w.play("> S 1000")
	admission = flow.Refuse
	if diff := cmp.Diff(fields("pass pass pass"), w.play("> S 1000\n< SA 5000 1001\n> A 1001 5001")); diff != "" {
		t.Errorf("fates of a handshake that had begun (-want +got):\n%s", diff)
	}
}

func TestProhibited(t *testing.T) {
	t.Parallel()
	for _, s := range []tuntest.TCP{taptest.SYN(), taptest.SYN6()} {
		w := newWorld(t, Options{Admission: func(time.Time) flow.Admission { return flow.Refuse }})
		if _, reason := w.send(tuntest.Frame{Data: s.Packet()}); reason != "refused" {
			t.Errorf("dropped as %q", reason)
		}
		want := tuntest.ICMP{Src: s.Dst.Addr(), Dst: s.Src.Addr(), Type: 3, Code: 13, Payload: s.Packet(), IP: tuntest.IP{DF: true}}
		if s.Src.Addr().Is6() {
			want.Type, want.Code, want.IP.DF = 1, 1, false
		}
		if diff := cmp.Diff([][]byte{want.Packet()}, w.link.inbound); diff != "" {
			t.Errorf("answers to %v (-want +got):\n%s", s.Src, diff)
		}
	}
}

// TestThirdSegmentLacksTimestamp: netstack drops it (RFC 7323 §3.2), so nothing is established.
func TestThirdSegmentLacksTimestamp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	frames := handshakeFrames()
	w.send(tuntest.Frame{Data: frames[0]})
	if err := w.tap.WriteFrame(tun.Offload{}, [][]byte{frames[1]}); err != nil {
		t.Fatal(err)
	}
	bare := tuntest.TCP{Src: taptest.Client, Dst: taptest.Server, Seq: 1001, Ack: 5001, Flags: tuntest.ACK}.Packet()
	if _, reason := w.send(tuntest.Frame{Data: bare}); reason != "third_segment" {
		t.Errorf("third segment without the timestamp option: reason %q, want third_segment", reason)
	}
	if _, reason := w.send(tuntest.Frame{Data: frames[2]}); reason != "" {
		t.Errorf("third segment with it: reason %q, want none", reason)
	}
	w.wantRecords("established 1000/5000: S SA A")
}

// behind is a link that has been read up to a time.
type behind struct {
	tun.Link
	upTo time.Time
}

func (b *behind) NotifyIdle(func()) bool { return false }
func (b *behind) Idle() bool             { return false }
func (b *behind) ReadUpTo() time.Time    { return b.upTo }

// A third segment may lie unread at its deadline. The handshake ends only when the link has been
// read up to there.
func TestUnreadAtDeadline(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{Timeout: 5 * time.Second, DialTimeout: 10 * time.Second})
	link := &behind{Link: w.tap.link, upTo: w.now()}
	w.tap.link = link
	w.mustPlay("> S 1000\n< SA 5000 1001")
	w.wait(60 * time.Second)
	w.wantRecords("")
	w.mustPlay("> A 1001 5001")
	w.wantRecords("established 1000/5000: S SA A")

	link.upTo = w.now()
	w.mustPlay("> S 2000\n< SA 6000 2001")
	w.wait(60 * time.Second)
	w.wantRecords("")
	link.upTo = link.upTo.Add(6 * time.Second)
	w.wait(0)
	w.wantRecords("half_open 2000/6000: S SA")
}

func TestTimeouts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{Timeout: 5 * time.Second, DialTimeout: 10 * time.Second})
	w.mustPlay("> S 1000\n< SA 5000 1001")
	w.wait(4 * time.Second)
	w.mustPlay("< SA 5000 1001") // does not put the end off
	w.wantRecords("")
	w.wait(time.Second)
	w.wantRecords("half_open 1000/5000 again 0/1: S SA SA")
	if n := w.tap.Stats().HalfOpen; n != 0 {
		t.Errorf("half open: %d, want 0", n)
	}

	// The router may still wait: only the RST that ends this may pass.
	if diff := cmp.Diff(fields("third_segment third_segment pass pass"), w.play("> A 1001 5001\n> R 7\n> R 1001\n> A 1001 5001")); diff != "" {
		t.Errorf("fates after the timeout (-want +got):\n%s", diff)
	}

	w.mustPlay("> S 2000")
	w.wait(14 * time.Second)
	w.wantRecords("")
	w.wait(2 * time.Second) // the router has not said how the dial ended
	w.wantRecords("no_reply 2000: S")
	w.wait(givesUp)
	if n := w.places() + w.tap.live.Count(tracker.StateUnanswered); n != 0 {
		t.Errorf("%d flows are still kept, want none", n)
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	syn4, syn6 := taptest.SYN().Packet(), taptest.SYN6().Packet()
	other := taptest.SYN()
	other.Seq++
	tests := []struct {
		name string
		syn  []byte
		icmp tuntest.ICMP
		want handshake.Outcome // "" = none
	}{
		{"host unreachable", syn4, tuntest.ICMP{Type: 3, Code: 1, Payload: syn4}, handshake.Unreachable},
		{"least quote", syn4, tuntest.ICMP{Type: 3, Code: 13, Payload: syn4[:28]}, handshake.Unreachable},
		{"IPv6", syn6, tuntest.ICMP{Type: 1, Code: 0, Payload: syn6}, handshake.Unreachable},
		{"IPv6, quote with extension headers", syn6, tuntest.ICMP{Type: 1, Payload: chain(syn6, hopByHop)}, handshake.Unreachable},
		{"fragmentation needed", syn4, tuntest.ICMP{Type: 3, Code: 4, Payload: syn4}, ""},
		{"time exceeded", syn4, tuntest.ICMP{Type: 11, Payload: syn4}, handshake.Unreachable},
		{"time exceeded, IPv6", syn6, tuntest.ICMP{Type: 3, Payload: syn6}, handshake.Unreachable},
		{"parameter problem", syn4, tuntest.ICMP{Type: 12, Payload: syn4}, handshake.Unreachable},
		{"parameter problem, IPv6", syn6, tuntest.ICMP{Type: 4, Payload: syn6}, handshake.Unreachable},
		{"redirect", syn4, tuntest.ICMP{Type: 5, Payload: syn4}, ""},
		{"source quench", syn4, tuntest.ICMP{Type: 4, Payload: syn4}, ""},
		{"packet too big", syn6, tuntest.ICMP{Type: 2, Payload: syn6}, ""},
		{"echo request", syn4, tuntest.ICMP{Type: 8, Payload: syn4}, ""},
		{"another number", syn4, tuntest.ICMP{Type: 3, Code: 1, Payload: other.Packet()}, ""},
		{"short quote", syn4, tuntest.ICMP{Type: 3, Code: 1, Payload: syn4[:27]}, ""},
		{"no quote", syn4, tuntest.ICMP{Type: 3, Code: 1}, ""},
		{"quote of the other direction", syn4, tuntest.ICMP{Type: 3, Code: 1, Payload: reversed(taptest.SYN())}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := taptest.SYN()
			if tt.syn[0]>>4 == 6 {
				s = taptest.SYN6()
			}
			tt.icmp.Src, tt.icmp.Dst = s.Dst.Addr(), s.Src.Addr()
			icmp := tt.icmp.Packet()

			w := newWorld(t, Options{})
			w.send(tuntest.Frame{Data: tt.syn})
			// The quote comes in a buffer of its own, as netstack writes it.
			cut := len(icmp) - len(tt.icmp.Payload)
			if err := w.tap.WriteFrame(tun.Offload{}, [][]byte{icmp[:cut], icmp[cut:]}); err != nil {
				t.Fatal(err)
			}
			var rec taptest.Recorder
			tr := tracker.New(rec.Options())
			for _, b := range [][]byte{tt.syn, icmp} {
				tr.Observe(taptest.Epoch, &tcpdump.Packet{Data: b, Length: len(b)})
			}
			tr.Settle()
			for name, records := range map[string][]*handshake.Record{"live": w.rec.Records, "replay": rec.Records} {
				var got handshake.Outcome
				for _, r := range records {
					got = r.Outcome
				}
				if got != tt.want {
					t.Errorf("%s: outcome %q, want %q", name, got, tt.want)
				}
			}
		})
	}
}

// reversed returns the segment with its ends exchanged.
func reversed(s tuntest.TCP) []byte {
	s.Src, s.Dst = s.Dst, s.Src
	return s.Packet()
}

// TestAdmissionOfOthers keeps out whatever would make another record, also where the 4-tuple has an
// handshake or had one.
func TestAdmissionOfOthers(t *testing.T) {
	t.Parallel()
	for _, before := range []string{"> S 1000", "> S 1000\n< SA 5000 1001", "> S 1000\n> R 1001", "> S 1000\n< RA 0 1001", taptest.Handshake} {
		admission := flow.Admit
		w := newWorld(t, Options{Admission: func(time.Time) flow.Admission { return admission }})
		w.mustPlay(before)
		admission = flow.Wait
		if got := w.play("> S 2000"); got[0] != "waiting" {
			t.Errorf("after %q: SYN with another number: %s, want waiting", before, got[0])
		}
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var rec taptest.Recorder
		link := &memLink{}
		tap := Wrap(link, recordedBy(&rec, Options{}))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- tap.Run(ctx) }()

		start := time.Now()
		for i, isn := range []uint32{1000, 2000} { // twice, with an idle hour in between
			link.outbound = append(link.outbound, tuntest.Frame{Data: tuntest.TCP{Src: taptest.Client, Dst: taptest.Server, Seq: isn, Flags: tuntest.SYN}.Packet()})
			if err := tap.ReadFrame(newFrame()); err != nil {
				t.Fatal(err)
			}
			synack := tuntest.TCP{Src: taptest.Server, Dst: taptest.Client, Seq: 5000, Ack: isn + 1, Flags: tuntest.SYN | tuntest.ACK}.Packet()
			if err := tap.WriteFrame(tun.Offload{}, [][]byte{synack}); err != nil {
				t.Fatal(err)
			}
			<-time.After(6 * time.Second)
			synctest.Wait()
			if got := rec.Take(); len(got) != 1 {
				t.Errorf("%v after attempt %d: records %q, want one", time.Since(start), i, got)
			}
			<-time.After(time.Hour)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})
}
