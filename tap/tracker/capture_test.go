package tracker_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"syntap/tap/taptest"
	"syntap/tap/tracker"
	"syntap/tun/tuntest"
)

// TestCapturesAsTheyAre covers segments that captures lack, hold twice, or hold in another order
// than they passed, and those that no receiver takes.
func TestCapturesAsTheyAre(t *testing.T) {
	t.Parallel()
	testScripts(t, []scriptTest{
		// A third segment that was not captured.
		{
			"data of the server tells how far the client is",
			"> S 1000\n< SA 5000 1001\n< PA 5001 1101 len 500\n> A 1101 5501\n> PA 1101 5501 len 50",
			"established 1000/5000: S SA A",
		},
		{
			"the server acknowledges later",
			"> S 1000\n< SA 5000 1001\n> A 1101 5001\n< A 5001 1101",
			"established 1000/5000: S SA A",
		},
		{
			"data within the window",
			"> S 1000\n< SA 5000 1001\n> PA 1101 5001 len 50",
			"established 1000/5000: S SA PA",
		},
		{
			"data behind the window",
			"> S 1000\n< SA 5000 1001\n> PA 90000 5001 len 50",
			"half_open 1000/5000: S SA",
		},
		{
			"data of the server that was not captured",
			"> S 1000\n< SA 5000 1001\n> A 1001 5501\n< PA 5501 1001 len 9",
			"established 1000/5000: S SA A",
		},
		{
			"only the FINs", "> S 1000\n< SA 5000 1001\n> FA 1101 5501\n< FA 5501 1102\n> S 9000",
			"established 1000/5000: S SA FA\nno_reply 9000: S",
		},
		{
			"the server's FIN first", "> S 1000\n< SA 5000 1001\n< FA 5501 1101\n> FA 1101 5502\n> S 9000",
			"established 1000/5000: S SA FA\nno_reply 9000: S",
		},
		{
			"FINs that acknowledge nothing", "> S 1000\n< SA 5000 1001\n> FA 1101 7501\n< FA 5501 1001",
			"half_open 1000/5000: S SA",
		},

		// A SYN-ACK that was not captured.
		{
			"data both ways", "> S 1000\n> A 1001 5001\n> PA 1001 5001 len 100\n< PA 5001 1101 len 500",
			"established 1000/5000: S A",
		},
		{
			"the server speaks first", "> S 1000\n< PA 5001 1001 len 30\n> PA 1001 5031 len 10\n< A 5031 1011",
			"established 1000/5000: S PA",
		},
		{
			"a number that is not told",
			"> S 1000\n> PA 1001 7000 len 9\n< PA 8000 1010 len 9\n> A 1010 8009",
			"established 1000: S PA",
		},
		{
			"only one end speaks", "> S 1000\n> A 1001 5001\n> PA 1001 5001 len 9\n> PA 1010 5001 len 9",
			"no_reply 1000: S",
		},
		{
			"data of an older connection",
			"> S 1000\n> PA 700001 5001 len 9\n< PA 5001 700010 len 9\n> A 700010 5010",
			"no_reply 1000: S",
		},
		{
			"both ends have closed", "> S 1000\n> FA 1001 5001\n< FA 5001 1002",
			"established 1000/5000: S FA",
		},

		// Order in the file against time.
		{"SYN-ACK, SYN, ACK", "< SA 5000 1001\n> S 1000\n> A 1001 5001", "established 1000/5000: S SA A"},
		{"SYN-ACK, ACK, SYN", "< SA 5000 1001\n> A 1001 5001\n> S 1000", "established 1000/5000: S SA A"},
		{"SYN, ACK, SYN-ACK", "> S 1000\n> A 1001 5001\n< SA 5000 1001", "established 1000/5000: S SA A"},
		{"ACK, SYN, SYN-ACK", "> A 1001 5001\n> S 1000\n< SA 5000 1001", "established 1000/5000: S SA A"},
		{"ACK, SYN-ACK, SYN", "> A 1001 5001\n< SA 5000 1001\n> S 1000", "established 1000/5000: S SA A"},
		{"an hour ahead", "< SA 5000 1001\n> S 1000 +1h\n> A 1001 5001", "established 1000/5000: S SA A"},
		{"RST, SYN", "< RA 0 1001\n> S 1000", "refused 1000: S RA"},
		{"RST of another SYN", "< RA 0 1002\n> S 1000", "no_reply 1000: S"},
		{"SYN-ACK of another SYN", "< SA 5000 1002\n> S 1000", "no_reply 1000: S"},
		{
			"SYN-ACK ahead on a connection",
			taptest.Handshake + "< SA 7000 2001\n> S 2000\n> A 2001 7001",
			"established 1000/5000: S SA A\nestablished 2000/7000: S SA A",
		},
		{
			"SYN-ACK and SYN of a connection again", taptest.Handshake + "< SA 5000 1001 +1s\n> S 1000 +1s\n> A 1001 5001",
			"established 1000/5000: S SA A",
		},
		{
			"SYN, SYN-ACK and ACK of a connection again", taptest.Handshake + "> S 1000 +1s\n< SA 5000 1001\n> A 1001 5001",
			"established 1000/5000: S SA A",
		},
		{
			"the clock steps back", "< SA 5000 1001 +20ms\n> S 1000 -10ms\n> A 1001 5001 +15ms",
			"established 1000/5000: S SA A",
		},

		// Segments that a receiver would not take.
		{
			"RST before the SYN-ACK", "> S 1000\n< RA 0 1001\n< SA 5000 1001\n> A 1001 5001",
			"established 1000/5000 conflict rst: S RA SA A",
		},
		{
			"RST of the client before the SYN-ACK", "> S 1000\n> R 1001\n< SA 5000 1001\n> A 1001 5001",
			"established 1000/5000 conflict rst: S R SA A",
		},
		{
			"RST of the server behind the SYN-ACK", "> S 1000\n< SA 5000 1001\n< R 5001\n> A 1001 5001\n< PA 5001 1001 len 5",
			"established 1000/5000 conflict rst: S SA R A",
		},
		{
			"RST of the client behind the SYN-ACK", "> S 1000\n< SA 5000 1001\n> R 1001\n> PA 1001 5001 len 5",
			"established 1000/5000 conflict rst: S SA R PA",
		},
		{
			"RST, and the SYN-ACK was not captured",
			"> S 1000\n< RA 0 1001\n> PA 1001 5001 len 100\n< PA 5001 1101 len 500",
			"established 1000/5000 conflict rst: S RA PA",
		},
		{
			"RST in answer to a wrong SYN-ACK", "> S 1000\n< SA 5000 1002\n> R 1002\n< SA 6000 1001\n> A 1001 6001",
			"established 1000/6000: S SA SA A",
		},
		{
			"RST that ends it, and a late SYN-ACK", "> S 1000\n> R 1001\n< SA 5000 1001",
			"aborted by client 1000/5000: S R SA",
		},
		{
			"SYN before the SYN-ACK", "> S 1000\n> S 7777\n< SA 5000 1001\n> A 1001 5001\n> PA 1001 5001 len 5",
			"established 1000/5000 conflict syn: S SA A\nno_reply 7777: S SA",
		},
		{
			"SYN behind the SYN-ACK", "> S 1000\n< SA 5000 1001\n> S 7777\n< A 5001 1001\n> A 1001 5001",
			"established 1000/5000 conflict syn: S SA A",
		},
		{
			"RST and SYN", "> S 1000\n< RA 0 1001\n> S 7777\n< SA 5000 1001\n> A 1001 5001",
			"established 1000/5000 conflict rst,syn: S RA SA A\nno_reply 7777: S SA",
		},
		{
			"several SYNs", "> S 7777\n> S 1000\n> S 8888\n> S 9999\n< SA 5000 1001\n> A 1001 5001",
			"no_reply 7777: S\nestablished 1000/5000 conflict syn: S SA A\nno_reply 8888: S\nno_reply 9999: S SA",
		},
		{
			"SYN, and the right one again", "> S 1000\n> S 7777\n> S 1000 +1s\n< SA 5000 1001\n> A 1001 5001",
			"established 1000/5000 again 1/0 conflict syn: S S SA A\nno_reply 7777: S",
		},
		{
			"SYNs again in another order",
			"> S 1000\n> S 7777\n> S 8888\n> S 7777 +1s\n> S 9999\n< SA 5000 7778\n> A 7778 5001",
			"no_reply 1000: S\nestablished 7777/5000 again 1/0 conflict syn: S S SA A\nno_reply 8888: S\nno_reply 9999: S SA",
		},
		{
			"SYN that the server refuses", "> S 1000\n> S 7777\n< SA 5000 1001\n< RA 0 7778\n> A 1001 5001",
			"established 1000/5000 conflict syn: S SA A\nrefused 7777: S SA RA",
		},
		{
			"the first SYN is refused", "> S 1000\n> S 7777\n< RA 0 1001",
			"refused 1000: S RA\nno_reply 7777: S",
		},
		{
			"SYN of the server ahead of the client's", "< S 7777\n> S 1000\n< SA 5000 1001\n> A 1001 5001",
			"no_reply 7777: S\nestablished 1000/5000: S SA A",
		},
		{
			"SYN of the server behind the client's", "> S 1000\n< S 7777\n< SA 5000 1001\n> A 1001 5001",
			"established 1000/5000 conflict syn: S S SA A",
		},
		{
			"SYN of the server ahead of one that is refused", "< S 7777\n> S 1000\n< RA 0 1001",
			"no_reply 7777: S\nrefused 1000: S RA",
		},
		{
			"SYN-ACK that the client does not take",
			"> S 1000\n< SA 7777 1001\n< SA 5000 1001\n> A 1001 5001\n< PA 5001 1001 len 5",
			"established 1000/5000: S SA SA A",
		},
		{
			"SYN-ACK that the client does not take, and no data",
			"> S 1000\n< SA 7777 1001\n> S 1000 +1s\n< SA 5000 1001\n> A 1001 5001",
			"established 1000/5000 again 1/0: S SA S SA A",
		},
		{
			"SYN-ACK, and an ACK of a later one", "> S 1000\n< SA 5000 1001\n< SA 7777 1001\n> A 1001 7778\n> A 1001 5001",
			"established 1000/5000: S SA SA A",
		},
		{
			"two networks with the same addresses",
			"> S 1000\n> S 2000\n< SA 5000 1001\n< SA 6000 2001\n> A 1001 5001\n> A 2001 6001",
			"established 1000/5000 conflict syn: S SA A\nestablished 2000/6000: S SA SA A",
		},
		{
			"two networks, one behind the other",
			"> S 1000\n< SA 5000 1001\n> S 2000\n< SA 6000 2001\n> A 1001 5001\n> A 2001 6001",
			"established 1000/5000 conflict syn: S SA A\nestablished 2000/6000: S SA A",
		},

		// Several answers to one connect.
		{
			"refused three times", "> S 1000\n< RA 0 1001\n> S 1000 +500ms\n< RA 0 1001\n> S 1000 +500ms\n< RA 0 1001",
			"refused 1000 again 2/0 answers 2: S RA S RA S RA",
		},
		{
			"refused, and again after a long silence", "> S 1000\n< RA 0 1001\n> S 1000 +11s\n< RA 0 1001",
			"refused 1000: S RA\nrefused 1000: S RA",
		},
		{
			"refused, and another number", "> S 1000\n< RA 0 1001\n> S 2000\n< RA 0 2001",
			"refused 1000: S RA\nrefused 2000: S RA",
		},
		{
			"the ends change their roles", "> S 1000\n< RA 0 1001\n< S 70\n> SA 90 71\n< A 71 91",
			"refused 1000: S RA\nestablished 70/90: S SA A",
		},
	})
}

// TestCopies captures each segment of a handshake twice, the second time behind a router. A segment
// that comes later, or differs in anything else, is none.
func TestCopies(t *testing.T) {
	t.Parallel()
	steps := taptest.Script(t, taptest.Handshake)
	router := func(s tuntest.TCP) tuntest.TCP { s.IP.TTL = 63; return s }
	other := func(s tuntest.TCP) tuntest.TCP { s.IP.ID = 7; return s }
	v6 := func(s tuntest.TCP) tuntest.TCP {
		for _, end := range []*netip.AddrPort{&s.Src, &s.Dst} {
			b := netip.MustParseAddr("2001:db8::").As16()
			b[15] = end.Addr().As4()[3]
			*end = netip.AddrPortFrom(netip.AddrFrom16(b), end.Port())
		}
		return s
	}
	same := func(s tuntest.TCP) tuntest.TCP { return s }
	for _, tt := range []struct {
		name   string
		all    func(tuntest.TCP) tuntest.TCP
		again  func(tuntest.TCP) tuntest.TCP
		after  time.Duration
		want   string
		synack time.Duration
	}{
		{"router", same, router, 20 * time.Microsecond, "established 1000/5000 copies 2: S SA A", 20 * time.Millisecond},
		{"IPv6", v6, router, 20 * time.Microsecond, "established 1000/5000 copies 2: S SA A", 20 * time.Millisecond},
		{"within 50 ms", same, same, 50 * time.Millisecond, "established 1000/5000 copies 2: S SA A", 70 * time.Millisecond},
		{"later", same, same, 51 * time.Millisecond, "established 1000/5000 again 1/1: S S SA SA A", -1},
		{"another IP identification", same, other, time.Millisecond, "established 1000/5000 again 1/1: S S SA SA A", -1},
	} {
		var rec taptest.Recorder
		tr := tracker.New(rec.Options())
		at := taptest.Epoch
		for _, s := range steps {
			for i, s := range []tuntest.TCP{tt.all(s.TCP), tt.again(tt.all(s.TCP))} {
				capture(tr, at.Add(time.Duration(i)*tt.after), s.Packet())
			}
			at = at.Add(tt.after + 20*time.Millisecond)
		}
		delay := rec.Records[0].SYNACKDelay
		if tt.synack > 0 {
			tt.synack = at.Sub(taptest.Epoch) / 3
		}
		if diff := cmp.Diff([]string{tt.want}, rec.Take()); diff != "" || delay != tt.synack {
			t.Errorf("%s: SYN-ACK after %v, want %v; records (-want +got):\n%s", tt.name, delay, tt.synack, diff)
		}
	}
}

// TestUnreachableConnects has ICMP errors answer the SYNs of one connect.
func TestUnreachableConnects(t *testing.T) {
	t.Parallel()
	const second = time.Second
	syn := taptest.SYN()
	icmp := tuntest.ICMP{
		Src: taptest.Server.Addr(), Dst: taptest.Client.Addr(), Type: 3, Code: 1,
		Payload: syn.Packet()[:28],
	}
	again := syn
	again.IP.ID = 5
	synack := tuntest.TCP{
		Src: syn.Dst, Dst: syn.Src, Seq: 5000, Ack: 1001, Flags: tuntest.SYN | tuntest.ACK,
	}
	third := tuntest.TCP{Src: syn.Src, Dst: syn.Dst, Seq: 1001, Ack: 5001, Flags: tuntest.ACK}
	other := syn
	other.Seq = 3000
	crossing := tuntest.TCP{Src: syn.Dst, Dst: syn.Src, Seq: 7777, Flags: tuntest.SYN}
	type event struct {
		at     time.Duration
		packet []byte
	}
	for _, tt := range []struct {
		name   string
		events []event
		want   []string
	}{
		{
			"three times",
			[]event{
				{0, syn.Packet()},
				{1, icmp.Packet()},
				{second, again.Packet()},
				{second + 1, icmp.Packet()},
				{3 * second, again.Packet()},
				{3*second + 1, icmp.Packet()},
			},
			[]string{"unreachable 1000 again 2/0 answers 2: S S S"},
		},
		{
			"then open",
			[]event{
				{0, syn.Packet()},
				{1, icmp.Packet()},
				{second, again.Packet()},
				{second + 1, synack.Packet()},
				{second + 2, third.Packet()},
			},
			[]string{"established 1000/5000 again 1/0: S S SA A"},
		},
		{
			"the error is captured twice",
			[]event{{0, syn.Packet()}, {1, icmp.Packet()}, {2, icmp.Packet()}},
			[]string{"unreachable 1000 copies 1: S"},
		},
		{
			"after a long silence",
			[]event{{0, syn.Packet()}, {1, icmp.Packet()}, {12 * second, again.Packet()}, {12*second + 1, icmp.Packet()}},
			[]string{"unreachable 1000: S", "unreachable 1000: S"},
		},
		{
			"of a SYN that another one has followed",
			[]event{{0, syn.Packet()}, {1, other.Packet()}, {2, icmp.Packet()}},
			[]string{"unreachable 1000: S", "no_reply 3000: S"},
		},
		{
			"behind a SYN of the server",
			[]event{{0, crossing.Packet()}, {1, syn.Packet()}, {2, icmp.Packet()}},
			[]string{"no_reply 7777: S", "unreachable 1000: S"},
		},
	} {
		var rec taptest.Recorder
		tr := tracker.New(rec.Options())
		for _, e := range tt.events {
			capture(tr, taptest.Epoch.Add(e.at), e.packet)
		}
		tr.Flush()
		if diff := cmp.Diff(tt.want, rec.Take()); diff != "" {
			t.Errorf("%s: records (-want +got):\n%s", tt.name, diff)
		}
	}
}
