package tap

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"syntap/tap/taptest"
	"syntap/tun"
	"syntap/tun/flow"
	"syntap/tun/tuntest"
)

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
		w.wantRecords("established 1000/5000 conflict syn: S SA A")
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
