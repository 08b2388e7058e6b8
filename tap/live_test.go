package tap

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"syntap/tap/handshake"
	"syntap/tap/taptest"
	"syntap/tap/tcpdump"
	"syntap/tun"
	"syntap/tun/flow"
	"syntap/tun/packet"
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
		{"SYN-ACK after an abort while dialling", "> S 1000\n> R 1001\n> A 1001 7\n< SA 5000 1001\n> A 1001 5001\n> R 1001\n> A 1001 5001",
			"pass pass third_segment pass third_segment pass pass", "aborted by client 1000: S R"},
		{"SYN-ACK without a SYN", "< SA 5000 1001\n> A 1001 5001", "pass third_segment", ""},
		{"old SYN-ACK after a new SYN", "> S 1000\n> S 2000\n< SA 5000 1001\n> A 1001 5001\n> R 1001\n> S 2000\n< SA 6000 2001\n> A 2001 6001",
			"pass pass pass third_segment pass pass pass pass",
			"no_reply 1000: S\nestablished 2000/6000 again 1/0: S SA S SA A"},
		{"new SYN after the SYN-ACK", "> S 1000\n< SA 5000 1001\n> S 2000\n> A 2001 5001\n> A 1001 5001", "pass pass pass third_segment pass",
			"established 1000/5000: S SA A"},
		{"RST in the window after a new SYN", "> S 1000\n< SA 5000 1001\n> S 2000\n> R 1005", "pass pass pass third_segment",
			"half_open 1000/5000: S SA"},
		{"data of a connection under a forged SYN", taptest.Handshake + "> S 77\n> PA 1001 5001 len 4\n< A 5001 1005", "pass pass pass pass pass pass",
			"established 1000/5000: S SA A"},
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
	if n := w.places() + w.tap.live.Count(handshake.StateUnanswered); n != 0 {
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
		{"time exceeded", syn4, tuntest.ICMP{Type: 11, Payload: syn4}, ""},
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
			tr := handshake.NewTracker(rec.Options())
			for _, b := range [][]byte{tt.syn, icmp} {
				tr.Observe(taptest.Epoch, &tcpdump.Packet{Data: b, Length: len(b)})
			}
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

// TestLimits fills the table. A SYN that it cannot hold is dropped and counted, and comes in when
// there is room again.
func TestLimits(t *testing.T) {
	t.Parallel()
	network := netip.MustParsePrefix("2001:db8:9::/64")
	w := newWorld(t, Options{TCPFlows: 16, TCPFlowsPerSource: 3, Local: func(a netip.Addr) bool { return network.Contains(a) }})
	from := func(client string) string {
		s := taptest.SYN()
		if s.Src = netip.MustParseAddrPort(client); s.Src.Addr().Is6() {
			s.Dst = taptest.SYN6().Dst
		}
		_, reason := w.send(tuntest.Frame{Data: s.Packet()})
		return reason
	}
	for _, step := range []struct{ client, want string }{
		{"192.0.2.1:1", ""}, {"192.0.2.1:2", ""}, {"192.0.2.1:3", ""},
		{"192.0.2.1:4", "tcp_flows_per_source"},
		{"192.0.2.1:3", ""}, // again
		{"[2001:db8:8::1]:1", ""}, {"[2001:db8:8::1]:2", ""}, {"[2001:db8:8::1]:3", ""},
		{"[2001:db8:8::1]:4", "tcp_flows_per_source"},
		{"[2001:db8:8::2]:1", ""}, {"[2001:db8:8::3]:1", ""}, {"[2001:db8:8::4]:1", ""},
		{"[2001:db8:8::5]:1", "tcp_flows_per_source"}, // of one network
		{"[2001:db8:9::1]:1", ""}, {"[2001:db8:9::1]:2", ""}, {"[2001:db8:9::1]:3", ""}, {"[2001:db8:9::1]:4", ""}, {"[2001:db8:9::1]:5", ""},
		{"192.0.2.2:1", ""}, {"192.0.2.2:2", ""},
		{"192.0.2.2:3", "tcp_flows"},
	} {
		if got := from(step.client); got != step.want {
			t.Errorf("SYN from %s: reason %q, want %q", step.client, got, step.want)
		}
	}
	if n := w.tap.Stats().HalfOpen; n != 16 {
		t.Errorf("half open: %d, want 16", n)
	}
	w.tap.DialDone(flow.Dial{Key: flow.Key{Client: netip.MustParseAddrPort("192.0.2.1:1"), Server: taptest.Server, ISN: 1000}, Answer: flow.NoReply})
	if got := from("192.0.2.1:4"); got != "" {
		t.Errorf("SYN when there is room again: reason %q, want none", got)
	}
	w.tap.Flush()
	w.wait(givesUp + time.Minute)
	if n := len(w.tap.live.sources.flows); n != 0 {
		t.Errorf("%d sources counted after all is over, want 0", n)
	}
}

// TestLocalLimit has programs of this host leave an eighth of the table to others.
func TestLocalLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{TCPFlows: 16, Local: func(a netip.Addr) bool { return a == taptest.Client.Addr() }})
	got := map[string]int{}
	for i := range uint16(16) {
		s := taptest.SYN()
		s.Src = netip.AddrPortFrom(taptest.Client.Addr(), 1+i)
		_, reason := w.send(tuntest.Frame{Data: s.Packet()})
		got[reason]++
	}
	if diff := cmp.Diff(map[string]int{"": 14, "tcp_flows_per_source": 2}, got); diff != "" {
		t.Errorf("fates of SYNs (-want +got):\n%s", diff)
	}
}

// TestConnectionsCount has connections take places until the router has done with them.
func TestConnectionsCount(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{TCPFlows: 1, TCPFlowsPerSource: 1})
	w.mustPlay(taptest.Handshake + "> FA 1001 5001\n< FA 5001 1002\n> A 1002 5002\n> R 1002")
	other := taptest.SYN()
	other.Src = netip.MustParseAddrPort("192.0.2.7:1")
	if _, reason := w.send(tuntest.Frame{Data: other.Packet()}); reason != "tcp_flows" {
		t.Errorf("SYN beside a connection: reason %q, want tcp_flows", reason)
	}
	w.tap.Forget(key(999))
	if _, reason := w.send(tuntest.Frame{Data: other.Packet()}); reason != "tcp_flows" {
		t.Errorf("SYN when the router has forgotten another connection: reason %q, want tcp_flows", reason)
	}
	w.tap.Forget(key(1000))
	if _, reason := w.send(tuntest.Frame{Data: other.Packet()}); reason != "" {
		t.Errorf("SYN after that: reason %q, want none", reason)
	}

	w = newWorld(t, Options{})
	w.mustPlay(taptest.Handshake + "> S 2000") // which the router ignores
	w.tap.Forget(key(1000))
	w.wait(time.Minute)
	w.wantRecords("established 1000/5000: S SA A")
	if n := w.tap.live.counted(); n != 0 {
		t.Errorf("%d places taken after all is over, want 0", n)
	}
}

// TestSetLimits changes timeouts and limits under handshakes that are open.
func TestSetLimits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{Timeout: 60 * time.Second, DialTimeout: 60 * time.Second, TCPFlows: 1})
	w.mustPlay("> S 1000")
	other := taptest.SYN()
	other.Src = netip.MustParseAddrPort("192.0.2.7:1")
	if _, reason := w.send(tuntest.Frame{Data: other.Packet()}); reason != "tcp_flows" {
		t.Errorf("SYN beyond the limit: reason %q, want tcp_flows", reason)
	}
	w.tap.SetLimits(Options{Timeout: 5 * time.Second, DialTimeout: 10 * time.Second, TCPFlows: 2})
	if _, reason := w.send(tuntest.Frame{Data: other.Packet()}); reason != "" {
		t.Errorf("SYN within the new limit: reason %q, want none", reason)
	}
	w.mustPlay("< SA 5000 1001")
	w.wait(5 * time.Second) // the handshake that was answered after the change
	w.wantRecords("half_open 1000/5000: S SA")
}

// TestBlindSegments sends segments of a sender who knows only the 4-tuple of a connection: its data
// passes all the while, and there is no handshake until the router has ended it (RFC 5961).
func TestBlindSegments(t *testing.T) {
	t.Parallel()
	const data = "> PA 1001 5001 len 4\n< A 5001 1005\n"
	for _, blind := range []string{
		"> R 77", "> R 77\n> S 77", "> S 77\n> R 99\n> S 78", "> FA 77 88\n< FA 5001 1001\n> S 77", "> RA 1001 5001\n> S 77", "> R 1001\n> S 1000",
	} {
		w := newWorld(t, Options{})
		w.mustPlay(taptest.Handshake + data + blind + "\n" + data)
		w.wait(time.Minute)
		w.mustPlay(data)
		w.wantRecords("established 1000/5000: S SA A")
		w.mustPlay("> S 2000")
		w.tap.Forget(key(1000)) // which the client has reset
		w.tap.DialDone(dialled(2000, flow.Connected))
		if got := w.play("> A 2001 7001"); got[0] != "third_segment" {
			t.Errorf("after %q: a third segment without SYN-ACK: %s", blind, got[0])
		}
		w.mustPlay("< SA 7000 2001\n> A 2001 7001")
		w.wantRecords("established 2000/7000: S SA A")
	}
}

// TestBlindSYNBeforeThirdSegment sends SYNs with other numbers while the router waits for the third
// segment. They are netstack's to challenge and change nothing (RFC 5961 §4).
func TestBlindSYNBeforeThirdSegment(t *testing.T) {
	t.Parallel()
	for _, blind := range []string{"> S 77", "> S 77\n> S 77\n> S 78", "> S 77\n< A 5001 1001", "> S 1100"} {
		w := newWorld(t, Options{})
		w.mustPlay("> S 1000\n< SA 5000 1001\n" + blind + "\n> A 1001 5001")
		w.wantRecords("established 1000/5000: S SA A")
		w.mustPlay("> PA 1001 5001 len 4\n< A 5001 1005")
		w.wait(time.Minute)
		w.tap.Flush()
		w.wantRecords("")
		for _, s := range w.rec.Segments[3:] {
			t.Errorf("after %q: %s was shown", blind, taptest.FlagLetters(s.Packet))
		}
	}
}

// TestClientGivesUp has a client begin again with another number while the router waits for its
// third segment. The first handshake ends with its RST or with the router's end, and the SYN counts
// when it comes again or when the router dials for it.
func TestClientGivesUp(t *testing.T) {
	t.Parallel()
	const begin, complete = "> S 1000\n< SA 5000 1001\n> S 2000\n", "< SA 7000 2001\n> A 2001 7001"
	for _, tt := range []struct {
		name string
		then func(w *world)
		want string
	}{
		{"RST answers the challenge", func(w *world) {
			w.mustPlay("< A 5001 1001\n> R 1001")
			w.tap.Forget(key(1000))
			w.mustPlay("> S 2000 +1s")
			w.tap.DialDone(dialled(2000, flow.Connected))
			w.mustPlay(complete)
		}, "aborted by client 1000/5000: S SA R\nestablished 2000/7000 again 1/0: S S SA A"},
		{"the router has ended the first, and dials for the SYN", func(w *world) {
			w.tap.Forget(key(1000))
			w.tap.DialDone(dialled(2000, flow.Connected))
			w.mustPlay(complete)
		}, "half_open 1000/5000: S SA\nestablished 2000/7000: S SA A"},
		{"the router dials before it says that the first has ended", func(w *world) {
			w.tap.DialDone(dialled(2000, flow.Connected))
			w.tap.Forget(key(1000))
			w.mustPlay(complete)
		}, "half_open 1000/5000: S SA\nestablished 2000/7000: S SA A"},
		{"the dial for the SYN fails", func(w *world) {
			w.tap.Forget(key(1000))
			w.tap.DialDone(dialled(2000, flow.NoReply))
		}, "half_open 1000/5000: S SA\nno_reply 2000: S"},
		{"neither", func(w *world) {
			w.wait(5 * time.Second)
			if got := w.play("> A 1001 5001"); got[0] != "third_segment" {
				w.tb.Errorf("third segment after the end: %s", got[0])
			}
			w.wait(time.Hour)
		}, "half_open 1000/5000: S SA"},
	} {
		w := newWorld(t, Options{})
		w.mustPlay(begin)
		tt.then(w)
		w.tap.Flush()
		if diff := cmp.Diff(taptest.Lines(tt.want), w.rec.Take()); diff != "" {
			t.Errorf("%s: records (-want +got):\n%s", tt.name, diff)
		}
		if n := w.tap.Stats().HalfOpen; n != 0 {
			t.Errorf("%s: half open: %d, want 0", tt.name, n)
		}
	}
}

// TestSYNRate sends SYNs with ever new numbers on one 4-tuple. They make few records, and do not
// stop others.
func TestSYNRate(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{"", "< RA 0 %d\n"} {
		w := newWorld(t, Options{})
		passed := 0
		for isn := range uint32(1000) {
			if got := w.play(fmt.Sprintf("> S %d +1ms", isn)); got[0] == "pass" {
				passed++
				if answer != "" {
					w.mustPlay(fmt.Sprintf(answer+"", isn+1))
				}
			} else if got[0] != "syn_rate" {
				t.Fatalf("SYN %d: %s", isn, got[0])
			}
		}
		w.tap.Flush()
		if n := len(w.rec.Records); n != passed || n < renewalBurst || n > 2*renewalBurst+int(2*time.Second/renewalInterval) {
			t.Errorf("%d records of %d SYNs that have passed", n, passed)
		}
		other := taptest.SYN()
		other.Src = netip.MustParseAddrPort("192.0.2.7:1")
		if _, reason := w.send(tuntest.Frame{Data: other.Packet()}); reason != "" {
			t.Errorf("SYN of another client: reason %q, want none", reason)
		}
	}
	w := newWorld(t, Options{}) // connections are as many as the client likes
	for isn := range uint32(100) {
		w.mustPlay(fmt.Sprintf("> S %d\n< SA 5000 %d\n> A %[2]d 5001", isn, isn+1))
		w.tap.Forget(key(isn))
	}
}

// TestOneConnectOneRecord repeats a SYN after an answer, as some clients do. Only a SYN-ACK makes
// another record.
func TestOneConnectOneRecord(t *testing.T) {
	t.Parallel()
	icmp := tuntest.ICMP{Src: taptest.Server.Addr(), Dst: taptest.Client.Addr(), Type: 3, Code: 1, Payload: taptest.SYN().Packet()}.Packet()
	for _, tt := range []struct {
		name   string
		answer func(w *world)
		first  string
	}{
		{"unreachable", func(w *world) { _ = w.tap.WriteFrame(tun.Offload{}, [][]byte{icmp}) }, "unreachable 1000: S"},
		{"refused", func(w *world) { w.mustPlay("< RA 0 1001") }, "refused 1000: S RA"},
		{"half open", func(w *world) { w.mustPlay("< SA 5000 1001"); w.tap.Forget(key(1000)) }, "half_open 1000/5000: S SA"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, Options{DialTimeout: 10 * time.Second})
			for range 4 {
				w.mustPlay("> S 1000")
				tt.answer(w)
				w.wait(5 * time.Second)
			}
			w.wantRecords(tt.first)
			w.mustPlay("> A 1001 5001") // netstack has a RST for it
			w.mustPlay("> S 1000\n< SA 5000 1001\n> A 1001 5001")
			w.wantRecords("established 1000/5000: S SA A")

			w = newWorld(t, Options{DialTimeout: 10 * time.Second})
			for range 2 {
				w.mustPlay("> S 1000")
				tt.answer(w)
				w.wait(20 * time.Second)
			}
			w.wantRecords(tt.first + "\n" + tt.first)
		})
	}
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

// TestChecksumOffload covers the checksum fields of the virtio header.
func TestChecksumOffload(t *testing.T) {
	t.Parallel()
	for _, s := range []tuntest.TCP{taptest.SYN(), taptest.SYN6()} {
		whole := s.Packet()
		start := len(whole) - 24
		partial := append([]byte(nil), whole...)
		binary.BigEndian.PutUint16(partial[start+16:], packet.PseudoHeaderSum(6, s.Src.Addr().AsSlice(), s.Dst.Addr().AsSlice(), 24))
		needs := tun.Offload{Flags: tun.NeedsCsum, CsumStart: uint16(start), CsumOffset: 16}
		wrongStart, wrongOffset := needs, needs
		wrongStart.CsumStart++
		wrongOffset.CsumOffset = 6
		tests := []struct {
			name    string
			frame   []byte
			offload tun.Offload
			want    string
			flags   tun.OffloadFlags // of the frame that passes
		}{
			{"complete", whole, tun.Offload{}, "", tun.DataValid},
			{"verified", whole, tun.Offload{Flags: tun.DataValid}, "", tun.DataValid},
			{"partial", partial, needs, "", tun.NeedsCsum},
			{"partial, not said", partial, tun.Offload{}, "checksum", 0},
			{"partial from elsewhere", partial, wrongStart, "checksum", 0},
			{"partial to elsewhere", partial, wrongOffset, "checksum", 0},
		}
		for _, tt := range tests {
			w := newWorld(t, Options{})
			got, reason := w.send(tuntest.Frame{Data: tt.frame, Offload: tt.offload})
			if reason != tt.want || reason == "" && got.Offload.Flags != tt.flags {
				t.Errorf("%s: reason %q, flags %d, want %q, %d", tt.name, reason, got.Offload.Flags, tt.want, tt.flags)
			}
			if reason == "" && len(w.rec.Segments) == 1 {
				if diff := cmp.Diff(whole, w.rec.Segments[0].Packet.Data); diff != "" {
					t.Errorf("%s: shown segment (-want +got):\n%s", tt.name, diff)
				}
			}
		}
	}
}

// TestInboundOffload lets the router leave the checksum of a SYN-ACK to the host. The record's copy
// is complete.
func TestInboundOffload(t *testing.T) {
	t.Parallel()
	s := taptest.SYN6()
	w := newWorld(t, Options{})
	w.send(tuntest.Frame{Data: s.Packet()})
	whole := tuntest.TCP{Src: s.Dst, Dst: s.Src, Seq: 5, Ack: s.Seq + 1, Flags: tuntest.SYN | tuntest.ACK, Options: s.Options}.Packet()
	partial := append([]byte(nil), whole...)
	binary.BigEndian.PutUint16(partial[56:], packet.PseudoHeaderSum(6, s.Src.Addr().AsSlice(), s.Dst.Addr().AsSlice(), 24))
	off := tun.Offload{Flags: tun.NeedsCsum, CsumStart: 40, CsumOffset: 16}
	if err := w.tap.WriteFrame(off, [][]byte{append([]byte(nil), partial...)}); err != nil {
		t.Fatal(err)
	}
	want := tcpdump.Packet{Data: whole, Length: len(whole), EtherType: 0x86dd}
	if diff := cmp.Diff(want, w.rec.Segments[1].Packet); diff != "" {
		t.Errorf("shown SYN-ACK (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(partial, w.link.inbound[0]); diff != "" {
		t.Errorf("SYN-ACK that the host gets (-want +got):\n%s", diff)
	}
}

// TestSuperSegment completes a handshake with a segment of 40 kB, whose body the tap must sum but
// not read.
func TestSuperSegment(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 88, 89, 1460, 40001} {
		w := newWorld(t, Options{})
		w.mustPlay("> S 1000\n< SA 5000 1001")
		s := tuntest.TCP{Src: taptest.Client, Dst: taptest.Server, Seq: 1001, Ack: 5001, Flags: tuntest.ACK, Payload: make([]byte, size)}
		for i := range s.Payload {
			s.Payload[i] = byte(i * i)
		}
		b := s.Packet()
		if size > 0 {
			broken := append([]byte(nil), b...)
			broken[len(b)-1] ^= 4
			if _, reason := w.send(tuntest.Frame{Data: broken}); reason != "checksum" {
				t.Errorf("%d bytes, one wrong: reason %q, want checksum", size, reason)
			}
		}
		if _, reason := w.send(tuntest.Frame{Data: b}); reason != "" {
			t.Errorf("%d bytes: reason %q, want none", size, reason)
		}
		last := w.rec.Segments[len(w.rec.Segments)-1].Packet
		if last.Length != len(b) || len(last.Data) != 40 {
			t.Errorf("%d bytes: shown as %d of %d bytes, want 40 of %d", size, len(last.Data), last.Length, len(b))
		}
		w.wantRecords("established 1000/5000: S SA A")
	}
}
