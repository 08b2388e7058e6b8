package tap

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"syntap/tap/taptest"
	"syntap/tun"
	"syntap/tun/flow"
	"syntap/tun/tuntest"
)

func TestDialDone(t *testing.T) {
	t.Parallel()
	up := flow.Upstream{Local: netip.MustParseAddrPort("203.0.113.1:5555"), Remote: taptest.Server, DialTime: 3 * time.Millisecond}
	failed := func(errno string, a flow.Answer) flow.Dial {
		u := up
		u.Error = errno
		return flow.Dial{Upstream: u, Answer: a}
	}
	tests := []struct {
		name string
		dial flow.Dial
		then string
		want string
	}{
		{"connected", flow.Dial{Upstream: up}, "< SA 5000 1001\n> A 1001 5001", "established 1000/5000: S SA A"},
		{"refused", failed("ECONNREFUSED", flow.Refused), "< RA 0 1001", "refused 1000: S RA"},
		{"denied", flow.Dial{Answer: flow.Denied}, "", "denied 1000: S"},
		{"silent", failed("ETIMEDOUT", flow.NoReply), "", "no_reply 1000: S"},
		{"silent, SYN again", failed("ETIMEDOUT", flow.NoReply), "> S 1000\n> S 1000", "no_reply 1000: S"},
		{"silent, then another number", failed("ETIMEDOUT", flow.NoReply), "> S 2000", "no_reply 1000: S\nno_reply 2000: S"},
		{
			"silent, then it works", failed("EMFILE", flow.NoReply), "> S 1000\n< SA 5000 1001\n> A 1001 5001",
			"no_reply 1000: S\nestablished 1000/5000: S SA A",
		},
		{"denied, SYN again", flow.Dial{Answer: flow.Denied}, "> S 1000 +1s", "denied 1000: S"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, Options{})
			w.mustPlay("> S 1000")
			tt.dial.Key = key(1000)
			w.tap.DialDone(tt.dial)
			w.mustPlay(tt.then)
			w.tap.Flush()
			if diff := cmp.Diff(&tt.dial.Upstream, w.rec.Records[0].Upstream, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
				t.Errorf("upstream (-want +got):\n%s", diff)
			}
			w.wantRecords(tt.want)
		})
	}
}

// TestSilentSYNs repeats a SYN whose dial fails each time: the client has made one handshake, which
// has one record.
func TestSilentSYNs(t *testing.T) {
	t.Parallel()
	for _, answer := range []flow.Answer{flow.NoReply, flow.Denied} {
		w := newWorld(t, Options{DialTimeout: 10 * time.Second})
		for range 5 {
			w.mustPlay("> S 1000")
			w.tap.DialDone(dialled(1000, answer))
			w.wait(8 * time.Second)
		}
		w.wait(3 * time.Second) // longer than DialTimeout since the last one
		w.mustPlay("> S 1000")
		w.tap.DialDone(dialled(1000, answer))
		want := "no_reply 1000: S\nno_reply 1000: S"
		if answer == flow.Denied {
			want = "denied 1000: S\ndenied 1000: S"
		}
		w.wantRecords(want)
	}
}

// TestLateSYNACK lets the router answer after it has said that it would not. The tap has no
// handshake for it any more, so that nothing is to come of it.
func TestLateSYNACK(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{DialTimeout: 10 * time.Second})
	w.mustPlay("> S 1000")
	w.tap.DialDone(dialled(1000, flow.NoReply))
	w.mustPlay("< SA 5000 1001")
	w.wait(time.Minute)
	if got := w.play("> A 1001 5001"); got[0] != "third_segment" {
		t.Errorf("third segment: %s, want third_segment", got[0])
	}
	w.wantRecords("no_reply 1000: S")
}

// TestAbortedWhileDialling keeps the place of a handshake that is over for the client until it is
// over for the router.
func TestAbortedWhileDialling(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{TCPFlows: 1})
	w.mustPlay("> S 1000\n> R 1001")
	w.wantRecords("aborted by client 1000: S R")
	other := taptest.SYN()
	other.Src = netip.AddrPortFrom(other.Src.Addr(), 9)
	if _, reason := w.send(tuntest.Frame{Data: other.Packet()}); reason != "tcp_flows" {
		t.Errorf("another SYN while dialling: reason %q, want tcp_flows", reason)
	}
	w.tap.DialDone(dialled(1000, flow.NoReply))
	if _, reason := w.send(tuntest.Frame{Data: other.Packet()}); reason != "" {
		t.Errorf("another SYN after that: reason %q, want none", reason)
	}
}

func TestDialDoneIPv6(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	s := taptest.SYN6()
	w.send(tuntest.Frame{Data: s.Packet()})
	w.tap.DialDone(flow.Dial{Key: flow.Key{Client: s.Src, Server: s.Dst, ISN: s.Seq}, Answer: flow.Denied})
	w.wantRecords("denied 1000: S")
}

// TestStaleDial checks that the end of an old handshake's dial says nothing about the next
// handshake.
func TestStaleDial(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.mustPlay("> S 1000\n> S 2000")
	w.tap.DialDone(dialled(1000, flow.Denied))
	w.tap.DialDone(flow.Dial{Key: flow.Key{Client: taptest.Server, Server: taptest.Client}, Answer: flow.Denied})
	w.wantRecords("no_reply 1000: S")
	w.mustPlay("< SA 5000 2001\n> A 2001 5001")
	w.wantRecords("established 2000/5000: S SA A")
}

func TestForget(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.mustPlay("> S 1000\n< SA 5000 1001")
	w.tap.Forget(key(999))
	w.wantRecords("")
	w.tap.Forget(key(1000)) // the router was earlier than the timeout
	w.wantRecords("half_open 1000/5000: S SA")
	w.mustPlay("> A 1001 5001") // netstack has a RST for it

	w.mustPlay("> S 2000\n< SA 6000 2001")
	w.wait(6 * time.Second)
	w.wantRecords("half_open 2000/6000: S SA")
	if got := w.play("> A 2001 6001"); got[0] != "third_segment" {
		t.Errorf("late third segment: %s, want third_segment", got[0])
	}
	w.tap.Forget(key(2000))
	w.mustPlay("> A 2001 6001")
	w.wantRecords("")

	w.mustPlay("> S 3000")
	w.tap.Forget(key(2000))
	w.wantRecords("")
	w.tap.Forget(key(3000)) // the dial succeeded, and then the router had no memory
	w.wantRecords("no_reply 3000: S")
}

// TestForgottenConnection opens a connection that the tap believes open already. The dial, or its
// answer, says that it is not.
func TestForgottenConnection(t *testing.T) {
	t.Parallel()
	second := taptest.SYN()
	second.Seq = 2000
	icmp := tuntest.ICMP{Src: taptest.Server.Addr(), Dst: taptest.Client.Addr(), Type: 3, Code: 1, Payload: second.Packet()}.Packet()
	for _, tt := range []struct {
		name   string
		answer func(w *world)
		want   string
	}{
		{"dial denied", func(w *world) { w.tap.DialDone(dialled(2000, flow.Denied)) }, "denied 2000: S"},
		{"dial without answer", func(w *world) { w.tap.DialDone(dialled(2000, flow.NoReply)) }, "no_reply 2000: S"},
		{"unreachable", func(w *world) { _ = w.tap.WriteFrame(tun.Offload{}, [][]byte{icmp}) }, "unreachable 2000: S"},
		{"SYN-ACK", func(w *world) { w.mustPlay("< SA 7000 2001\n> A 2001 7001") }, "established 2000/7000: S SA A"},
		{"challenge ACK", func(w *world) { w.mustPlay("< A 5001 1001\n> R 1001"); w.tap.Forget(key(1000)); w.wait(time.Minute) }, ""},
		{"nothing", func(w *world) { w.wait(time.Minute) }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, Options{})
			w.mustPlay(taptest.Handshake)
			w.wantRecords("established 1000/5000: S SA A")
			w.mustPlay("> S 2000")
			shown := len(w.rec.Segments)
			tt.answer(w)
			w.wantRecords(tt.want)
			if more := len(w.rec.Segments) > shown; more != (tt.want != "") {
				t.Errorf("segments were shown: %t, want %t", more, !more)
			}
			if n := w.tap.Stats().HalfOpen; n != 0 {
				t.Errorf("half open: %d, want 0", n)
			}
		})
	}
}

// TestAbsorbedSYN sends a SYN that the router silently ignores. Its place is free again after both
// timeouts.
func TestAbsorbedSYN(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{TCPFlows: 1})
	w.mustPlay("> S 1000")
	w.wait(15 * time.Second)
	w.wantRecords("no_reply 1000: S")
	if n := w.places(); n != 0 {
		t.Errorf("%d places taken, want 0", n)
	}
	w.mustPlay("> S 2000")
}
