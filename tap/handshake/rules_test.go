package handshake_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"syntap/tap/handshake"
	"syntap/tap/taptest"
	"syntap/tap/tcpdump"
	"syntap/tun/tuntest"
)

// capture shows a tracker a packet that was captured whole.
func capture(tr *handshake.Tracker, at time.Time, b []byte) {
	tr.Observe(at, &tcpdump.Packet{Data: b, Length: len(b)})
}

// replay runs a script through a Tracker and returns its records.
func replay(tb testing.TB, text string) []*handshake.Record {
	var rec taptest.Recorder
	tr := handshake.NewTracker(rec.Options())
	at := taptest.Epoch
	for _, s := range taptest.Script(tb, text) {
		at = at.Add(s.After)
		capture(tr, at, s.TCP.Packet())
	}
	tr.Flush()
	return rec.Records
}

// scriptTest is a script of segments, and the records that it leads to.
type scriptTest struct{ name, script, want string }

func testScripts(t *testing.T, tests []scriptTest) {
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, r := range replay(t, tt.script) {
				got = append(got, taptest.Describe(r))
			}
			if diff := cmp.Diff(taptest.Lines(tt.want), got); diff != "" {
				t.Errorf("script:\n%s\nrecords (-want +got):\n%s", tt.script, diff)
			}
		})
	}
}

// TestRules covers the rows of doc.go's table and the segments that must not mislead the rules.
func TestRules(t *testing.T) {
	t.Parallel()
	testScripts(t, []scriptTest{
		{
			"ordinary", "> S 1000\n< SA 5000 1001\n> A 1001 5001",
			"established 1000/5000: S SA A",
		},
		{
			"no reply", "> S 1000",
			"no_reply 1000: S",
		},
		{
			"half open", "> S 1000\n< SA 5000 1001",
			"half_open 1000/5000: S SA",
		},
		{
			"midstream", "> PA 1001 5001 len 5\n< A 5001 1006\n< SA 5000 1001",
			"",
		},

		{
			"SYN again", "> S 1000\n> S 1000 +1s\n> S 1000 +2s\n< SA 5000 1001\n> A 1001 5001",
			"established 1000/5000 again 2/0: S S S SA A",
		},
		{
			"SYN again after its answer", "> S 1000\n< SA 5000 1001\n> S 1000 +1s\n> A 1001 5001",
			"established 1000/5000 again 1/0: S SA S A",
		},
		{
			"other SYN after its answer", "> S 1000\n< SA 5000 1001\n> S 1000 len 10\n> A 1011 5001",
			"half_open 1000/5000 again 1/0: S SA S",
		},
		{
			"SYN-ACK again", "> S 1000\n< SA 5000 1001\n< SA 5000 1001 +1s\n> A 1001 5001",
			"established 1000/5000 again 0/1: S SA SA A",
		},
		{
			"everything twice", "> S 1000\n> S 1000\n< SA 5000 1001\n< SA 5000 1001\n> A 1001 5001\n> A 1001 5001",
			"established 1000/5000 copies 2: S SA A",
		},
		{
			"SYN-ACK after the verdict", "> S 1000\n< SA 5000 1001\n> A 1001 5001\n< SA 5000 1001\n> A 1001 5001",
			"established 1000/5000: S SA A",
		},

		{
			"new number before the answer", "> S 90\n> S 100\n< SA 300 91\n> R 91\n< SA 400 101\n> A 101 401",
			"no_reply 90: S\nestablished 100/400: S SA SA A",
		},
		{
			"new number after the answer", "> S 90\n< SA 300 91\n> S 100\n< SA 400 101\n> A 101 401",
			"half_open 90/300: S SA\nestablished 100/400: S SA A",
		},

		{
			"SYN-ACK acknowledges nothing", "> S 1000\n< SA 5000 1000\n< SA 5000 1002\n> R 1002",
			"no_reply 1000: S SA SA",
		},
		{
			"right SYN-ACK after a wrong one", "> S 1000\n< SA 5000 1002\n> R 1002\n< SA 6000 1001\n> A 1001 6001",
			"established 1000/6000: S SA SA A",
		},
		{
			"second SYN-ACK with other number", "> S 1000\n< SA 5000 1001\n< SA 7000 1001\n> A 1001 7001\n> A 1001 5001",
			"established 1000/5000: S SA SA A",
		},
		{
			"all from one side", "> S 1000\n> SA 5000 1001\n> A 1001 5001",
			"no_reply 1000: S SA",
		},

		{
			"third segment with data", "> S 1000\n< SA 5000 1001\n> PA 1001 5001 len 20",
			"established 1000/5000: S SA PA",
		},
		{
			"third segment with FIN", "> S 1000\n< SA 5000 1001\n> FA 1001 5001\n< FA 5001 1002\n> S 2000",
			"established 1000/5000: S SA FA\nno_reply 2000: S",
		},
		{
			"third ACK lost", "> S 1000\n< SA 5000 1001\n> PA 1001 5001 len 8\n> PA 1009 5001 len 8",
			"established 1000/5000: S SA PA",
		},
		{
			"third ack too low", "> S 1000\n< SA 5000 1001\n> A 1001 5000\n< R 5000",
			"half_open 1000/5000: S SA",
		},
		{
			"third ack too high", "> S 1000\n< SA 5000 1001\n> A 1001 5002\n< R 5002\n> A 1001 5001",
			"established 1000/5000: S SA A",
		},
		{
			"third seq too low", "> S 1000\n< SA 5000 1001\n> A 1000 5001",
			"half_open 1000/5000: S SA",
		},
		{
			"third seq too high", "> S 1000\n< SA 5000 1001\n> A 1100 5001",
			"half_open 1000/5000: S SA",
		},
		{
			"third segment without ACK", "> S 1000\n< SA 5000 1001\n> P 1001 5001 len 3",
			"half_open 1000/5000: S SA",
		},
		{
			"third segment from the server", "> S 1000\n< SA 5000 1001\n< A 1001 5001",
			"half_open 1000/5000: S SA",
		},
		{
			"ACK before the SYN-ACK", "> S 1000\n< A 5001 1001\n> A 1001 5001",
			"no_reply 1000: S",
		},
		{
			"server talks first", "> S 1000\n< SA 5000 1001\n< PA 5001 1001 len 30\n> A 1001 5031",
			"established 1000/5000: S SA A",
		},
		{
			"server closes at once", "> S 1000\n< SA 5000 1001\n< FA 5001 1001\n> A 1001 5002",
			"established 1000/5000: S SA A",
		},
		{
			"more acknowledged than the server said", "> S 1000\n< SA 5000 1001\n< PA 5001 1001 len 30\n> A 1001 5032",
			"half_open 1000/5000: S SA",
		},
		{
			"data on the SYN-ACK", "> S 1000\n< SA 5000 1001 len 4\n> A 1001 5005",
			"established 1000/5000: S SA A",
		},

		{
			"wrap", "> S 4294967295\n< SA 4294967295 0\n> A 0 0",
			"established 4294967295/4294967295: S SA A",
		},
		{
			"wrap in the data", "> S 4294967290 len 10\n< SA 4294967295 5\n> A 5 0",
			"established 4294967290/4294967295: S SA A",
		},
		{
			"equal numbers", "> S 7\n< SA 7 8\n> A 8 8",
			"established 7/7: S SA A",
		},

		{
			"fast open, data taken", "> S 1000 len 10\n< SA 5000 1011\n> A 1011 5001",
			"established 1000/5000: S SA A",
		},
		{
			"fast open, data refused", "> S 1000 len 10\n< SA 5000 1001\n> PA 1001 5001 len 10",
			"established 1000/5000: S SA PA",
		},
		{
			"fast open, half the data taken", "> S 1000 len 10\n< SA 5000 1006\n> PA 1006 5001 len 5",
			"established 1000/5000: S SA PA",
		},
		{
			"fast open, SYN again without data", "> S 1000 len 10\n> S 1000\n< SA 5000 1001\n> A 1001 5001",
			"established 1000/5000 again 1/0: S S SA A",
		},
		{
			"fast open, SYN again with data", "> S 1000\n> S 1000 len 10\n< SA 5000 1011\n> A 1011 5001",
			"established 1000/5000 again 1/0: S S SA A",
		},
		{
			"fast open, more than the data taken", "> S 1000 len 10\n< SA 5000 1012\n> A 1012 5001",
			"no_reply 1000: S SA",
		},

		{
			"refused", "> S 1000\n< RA 0 1001",
			"refused 1000: S RA",
		},
		{
			"refused, then the same SYN", "> S 1000\n< RA 0 1001\n> S 1000 +500ms\n< RA 0 1001",
			"refused 1000 again 1/0 answers 1: S RA S RA",
		},
		{
			"refused, then the same SYN works", "> S 1000\n< RA 0 1001\n> S 1000 +500ms\n< SA 5000 1001\n> A 1001 5001",
			"established 1000/5000 again 1/0 conflict rst: S RA S SA A",
		},
		{
			"refused, then the same SYN much later", "> S 1000\n< RA 0 1001\n> S 1000 +11s\n< RA 0 1001",
			"refused 1000: S RA\nrefused 1000: S RA",
		},
		{
			"RST that acknowledges nothing", "> S 1000\n< RA 0 1000\n< R 1001\n< RA 0 1002",
			"no_reply 1000: S",
		},
		{
			"aborted by the client", "> S 1000\n< SA 5000 1001\n> R 1001",
			"aborted by client 1000/5000: S SA R",
		},
		{
			"aborted by the client with ACK", "> S 1000\n< SA 5000 1001\n> RA 1001 5001",
			"aborted by client 1000/5000: S SA RA",
		},
		{
			"aborted by the client before the answer", "> S 1000\n> R 1001",
			"aborted by client 1000: S R",
		},
		{
			"aborted by the server", "> S 1000\n< SA 5000 1001\n< R 5001",
			"aborted by server 1000/5000: S SA R",
		},
		{
			"aborted by the server after its data", "> S 1000\n< SA 5000 1001\n< PA 5001 1001 len 9\n< R 5010",
			"aborted by server 1000/5000: S SA R",
		},
		{
			"blind RSTs", "> S 1000\n> R 1000\n> R 1002\n< SA 5000 1001\n> R 1000\n> R 2000\n< R 5000\n< R 5002\n> A 1001 5001",
			"established 1000/5000 conflict rst: S SA A",
		},
		{
			"reset at once", "> S 1000\n< SA 5000 1001\n> A 1001 5001\n< RA 5001 1001",
			"established 1000/5000: S SA A",
		},

		{
			"simultaneous open", "> S 1000\n< S 5000\n> SA 1000 5001\n< SA 5000 1001\n> A 1001 5001\n< A 5001 1001",
			"established 1000/5000 simultaneous: S S SA SA",
		},
		{
			"simultaneous open with bare ACKs", "> S 1000\n< S 5000\n> A 1001 5001\n< A 5001 1001",
			"established 1000/5000 simultaneous: S S A A",
		},
		{
			"simultaneous open, one SYN-ACK", "> S 1000\n< S 5000\n< SA 5000 1001\n> A 1001 5001",
			"established 1000/5000 simultaneous: S S SA A",
		},
		{
			"simultaneous open, the client last", "> S 1000\n< S 5000\n< SA 5000 1001\n> SA 1000 5001",
			"established 1000/5000 simultaneous: S S SA SA",
		},
		{
			"simultaneous open, one side unheard", "> S 1000\n< S 5000\n> SA 1000 5001\n> A 1001 5001",
			"no_reply 1000/5000 simultaneous: S S SA",
		},
		{
			"simultaneous open reset", "> S 1000\n< S 5000\n< R 5001",
			"aborted by server 1000/5000 simultaneous: S S R",
		},

		{
			"port reuse", "> S 1000\n< SA 5000 1001\n> A 1001 5001\n> FA 1001 5001\n< FA 5001 1002\n> A 1002 5002\n> S 1000\n< SA 9000 1001\n> A 1001 9001",
			"established 1000/5000: S SA A\nestablished 1000/9000: S SA A",
		},
		{
			"port reuse after a RST", "> S 1000\n< SA 5000 1001\n> A 1001 5001\n< R 5001\n> S 2000\n< RA 0 2001",
			"established 1000/5000: S SA A\nrefused 2000: S RA",
		},
		{
			"SYN on a connection", "> S 1000\n< SA 5000 1001\n> A 1001 5001\n> S 9999\n< A 5001 1001\n> PA 1001 5001 len 5",
			"established 1000/5000: S SA A",
		},
		{
			"SYN on a connection that one side has closed", "> S 1000\n< SA 5000 1001\n> A 1001 5001\n> FA 1001 5001\n> FA 1001 5001\n> S 9999",
			"established 1000/5000: S SA A",
		},
		{
			"SYN of the server on a connection", "> S 1000\n< SA 5000 1001\n> A 1001 5001\n< S 77\n> A 1001 5001",
			"established 1000/5000: S SA A",
		},
		{
			"half-open discovery", "> S 1000\n< SA 5000 1001\n> A 1001 5001\n> S 400\n< A 5001 1001\n> R 1001\n> S 400\n< SA 8000 401\n> A 401 8001",
			"established 1000/5000: S SA A\nestablished 400/8000: S SA A",
		},
		{
			"connection that the server forgot", "> S 1000\n< SA 5000 1001\n> A 1001 5001\n> S 2000\n< SA 8000 2001\n> A 2001 8001",
			"established 1000/5000: S SA A\nestablished 2000/8000: S SA A",
		},
		{
			"connection that the server forgot half closed", "> S 1000\n< SA 5000 1001\n> A 1001 5001\n> FA 1001 5001\n> S 2000\n< SA 8000 2001\n> A 2001 8001\n< FA 8001 2001\n> S 3000",
			"established 1000/5000: S SA A\nestablished 2000/8000: S SA A",
		},
		{
			"port refused on a forgotten connection", "> S 1000\n< SA 5000 1001\n> A 1001 5001\n> S 2000\n< RA 0 2001",
			"established 1000/5000: S SA A\nrefused 2000: S RA",
		},
		{
			"connection continues after a SYN", "> S 1000\n< SA 5000 1001\n> A 1001 5001\n> S 2000\n> S 3000\n> FA 1001 5001\n< FA 5001 1002",
			"established 1000/5000: S SA A",
		},
		{
			"roles change on reuse", "> S 1000\n< SA 5000 1001\n> A 1001 5001\n< R 5001\n< S 70\n> SA 90 71\n< A 71 91",
			"established 1000/5000: S SA A\nestablished 70/90: S SA A",
		},

		{
			"SYN with FIN", "> FS 1000\n< SA 5000 1001\n> A 1001 5001",
			"established 1000/5000: FS SA A",
		},
		{
			"SYN with RST", "> SR 1000\n< SA 5000 1001",
			"",
		},
	})
}

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
	tr := handshake.NewTracker(handshake.Options{})
	for i, text := range []string{taptest.Handshake, taptest.Handshake, taptest.Handshake + "> R 1001", "> S 1000", "> S 1000\n< SA 5000 1001", "> S 1000\n< RA 0 1001"} {
		for _, s := range taptest.Script(t, text) {
			port := uint16(1 + i)
			s.TCP.Src, s.TCP.Dst = netip.AddrPortFrom(s.TCP.Src.Addr(), port), netip.AddrPortFrom(s.TCP.Dst.Addr(), port)
			capture(tr, taptest.Epoch, s.TCP.Packet())
		}
	}
	tr.Settle()
	want := handshake.Stats{
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

// TestVLANs sends the segments of handshakes in several VLANs. The tags make no difference: the two
// directions of a connection often have different ones, and a segment that is captured on a second
// VLAN is a copy.
func TestVLANs(t *testing.T) {
	t.Parallel()
	var rec taptest.Recorder
	tr := handshake.NewTracker(rec.Options())
	observe := func(b []byte, tags ...uint16) {
		tr.Observe(taptest.Epoch, &tcpdump.Packet{Data: b, Length: len(b), VLANs: tags})
	}
	const priority = 5 << 13
	steps := taptest.Script(t, taptest.Handshake)
	observe(steps[0].TCP.Packet(), 100)
	observe(steps[0].TCP.Packet(), 200, 7)
	observe(steps[1].TCP.Packet())
	observe(steps[2].TCP.Packet(), priority|100)
	steps[0].TCP.Src = netip.AddrPortFrom(steps[0].TCP.Src.Addr(), 40001)
	observe(steps[0].TCP.Packet())
	unreachable := tuntest.ICMP{
		Src: taptest.Server.Addr(), Dst: taptest.Client.Addr(), Type: 3, Code: 1,
		Payload: steps[0].TCP.Packet(),
	}
	observe(unreachable.Packet(), 9)
	tr.Flush()
	var got []string
	for _, r := range rec.Records {
		var tags [][]uint16
		for _, s := range r.Segments {
			tags = append(tags, s.Packet.VLANs)
		}
		got = append(got, fmt.Sprint(taptest.Describe(r), tags))
	}
	want := []string{
		"established 1000/5000 copies 1: S SA A[[100] [] [41060]]",
		"unreachable 1000: S[[]]",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

// TestLyingLengths replays SYNs whose lengths cannot be right. A capture may hold such: of packets
// taken before offload filled the field in, or cut by its snap length.
func TestLyingLengths(t *testing.T) {
	t.Parallel()
	syn4, syn6 := taptest.SYN().Packet(), taptest.SYN6().Packet()
	tests := []struct {
		name   string
		data   []byte
		length int
		want   string
	}{
		{"IPv4 length 0", taptest.Edit(syn4, 3, 0), len(syn4), "no_reply 1000: S"},
		{"IPv6 length 0", taptest.Edit(syn6, 5, 0), len(syn6), "no_reply 1000: S"},
		{"longer than the wire", taptest.Edit(syn4, 3, 200), len(syn4), "no_reply 1000: S"},
		{"data offset behind the end", taptest.Edit(syn4, 32, 0xf0), len(syn4), "no_reply 1000: S"},
		{"options cut", syn4[:41], len(syn4), "no_reply 1000: S"},
		{"header cut", syn4[:39], len(syn4), ""},
		{"ends within the TCP header", taptest.Edit(syn4, 3, 30), len(syn4), ""},
		{"ends within the IP header", taptest.Edit(syn4, 3, 12), len(syn4), ""},
		{"data offset 4", taptest.Edit(syn4, 32, 0x40), len(syn4), ""},
		{"authentication header", behind(syn6, []byte{51, 1, 11: 0}), len(syn6) + 12, "no_reply 1000: S"},
	}
	for _, tt := range tests {
		var rec taptest.Recorder
		tr := handshake.NewTracker(rec.Options())
		tr.Observe(taptest.Epoch, &tcpdump.Packet{Data: tt.data, Length: tt.length})
		tr.Flush()
		if diff := cmp.Diff(taptest.Lines(tt.want), rec.Take()); diff != "" {
			t.Errorf("%s: records (-want +got):\n%s", tt.name, diff)
		}
	}
}

// behind puts an extension header, which begins with its own type, between IPv6 and TCP.
func behind(tcp []byte, header []byte) []byte {
	b := slices.Concat(tcp[:40], header, tcp[40:])
	b[6], b[40] = header[0], 6
	b[5] += byte(len(header))
	return b
}
