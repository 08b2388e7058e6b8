package tap

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"syntap/tap/handshake"
	"syntap/tap/policy"
	"syntap/tap/taptest"
	"syntap/tap/tcpdump"
	"syntap/tun/packet"
	"syntap/tun/tuntest"
)

// TestReplayRules passes a capture through rules for one direction each, so that it matters who the
// client is.
func TestReplayRules(t *testing.T) {
	t.Parallel()
	rules := compile(t,
		[]policy.MSSRule{
			{Match: policy.Match{Direction: packet.Inbound}, Clamp: 1200},
			{Match: policy.Match{Dst: []netip.Prefix{netip.PrefixFrom(taptest.Server.Addr(), 32)}}, Clamp: 1300, Add: true},
		},
		[]policy.DFRule{{Match: policy.Match{Direction: packet.Inbound}, Policy: packet.SetDF}})
	var rec taptest.Recorder
	o := recordedBy(&rec, Options{})
	o.Rules = rules
	r := NewReplay(o)

	syn := taptest.SYN()
	synack := tuntest.TCP{Src: syn.Dst, Dst: syn.Src, Seq: 5000, Ack: 1001, Flags: tuntest.SYN | tuntest.ACK, Options: mssOption(1460)}
	third := tuntest.TCP{Src: syn.Src, Dst: syn.Dst, Seq: 1001, Ack: 5001, Flags: tuntest.ACK}
	bare := taptest.SYN()
	bare.Src, bare.Options = netip.AddrPortFrom(syn.Src.Addr(), 40001), nil
	question := tuntest.UDP{Src: syn.Src, Dst: syn.Dst, Payload: []byte("question")}
	answer := tuntest.UDP{Src: syn.Dst, Dst: syn.Src, Payload: []byte("answer")}
	midway := tuntest.TCP{Src: syn.Dst, Dst: netip.AddrPortFrom(syn.Src.Addr(), 40002), Seq: 1, Ack: 1, Flags: tuntest.ACK}
	ping := tuntest.ICMP{Src: syn.Src.Addr(), Dst: syn.Dst.Addr(), Type: 8}
	pong := tuntest.ICMP{Src: syn.Dst.Addr(), Dst: syn.Src.Addr()}

	with := func(s tuntest.TCP, mss uint16, df bool) []byte {
		s.Options, s.IP.DF = mssOption(mss), df
		return s.Packet()
	}
	answerDF, pongDF := answer, pong
	answerDF.IP.DF, pongDF.IP.DF = true, true
	df := changed("", "df", "clear", "set", 1)
	tests := []struct {
		name     string
		packet   []byte
		want     []byte
		rewrites []handshake.Rewrite
	}{
		{"SYN", syn.Packet(), with(syn, 1300, false), []handshake.Rewrite{changed("syn", "mss", "1460", "1300", 2)}},
		{"SYN-ACK", synack.Packet(), with(synack, 1200, true), []handshake.Rewrite{changed("synack", "mss", "1460", "1200", 1), changed("synack", "df", "clear", "set", 1)}},
		{"third segment", third.Packet(), third.Packet(), nil},
		{"SYN without the option", bare.Packet(), with(bare, 536, false), []handshake.Rewrite{changed("syn", "mss", "none", "536", 2)}},
		{"question", question.Packet(), question.Packet(), nil},
		{"answer", answer.Packet(), answerDF.Packet(), []handshake.Rewrite{df}},
		{"echo request", ping.Packet(), ping.Packet(), nil},
		{"echo reply", pong.Packet(), pongDF.Packet(), []handshake.Rewrite{df}},
		{"first segment seen of a connection", midway.Packet(), midway.Packet(), nil},
		{"no packet", []byte{1, 2, 3}, []byte{1, 2, 3}, nil},
		{"nothing", nil, nil, nil},
	}
	const trailer = "\x00\x00"
	for i, tt := range tests {
		p := tcpdump.Packet{Data: append(tt.packet, trailer...), Length: len(tt.packet) + len(trailer)}
		before := string(p.Data)
		got := r.Pass(taptest.Epoch.Add(time.Duration(i)*time.Millisecond), &p)
		if diff := cmp.Diff(string(tt.want)+trailer, string(got.Data)); diff != "" || got.Length != len(tt.want)+len(trailer) {
			t.Errorf("%s: passed on with length %d (-want +got):\n%s", tt.name, got.Length, diff)
		}
		if diff := cmp.Diff(tt.rewrites, got.Rewrites); diff != "" || got.Refused != "" {
			t.Errorf("%s: refused %q, rewrites (-want +got):\n%s", tt.name, got.Refused, diff)
		}
		if string(p.Data) != before {
			t.Errorf("%s: the caller's packet was changed", tt.name)
		}
	}
	r.Flush()

	if len(rec.Records) != 2 {
		t.Fatalf("%d records, want 2", len(rec.Records))
	}
	want := append(tests[0].rewrites, tests[1].rewrites...)
	if diff := cmp.Diff(want, rec.Records[0].Rewrites); diff != "" {
		t.Errorf("rewrites in the record (-want +got):\n%s", diff)
	}
	if first := rec.Records[0]; first.Outcome != handshake.Established || *first.SYN.MSS != 1460 || *first.SYNACK.MSS != 1200 {
		t.Errorf("record %s with SYN %+v and SYN-ACK %+v, want those on the TUN", first.Outcome, first.SYN, first.SYNACK)
	}
}

// TestReplayRefused has rules refuse packets: a replay says so, and passes them on.
func TestReplayRefused(t *testing.T) {
	t.Parallel()
	r := NewReplay(Options{Rules: compile(t, []policy.MSSRule{{Clamp: 1300, Malformed: policy.Drop}}, []policy.DFRule{{Policy: packet.EnforceDF}})})
	malformed := taptest.SYN()
	malformed.Options = []byte{2, 0, 0, 0}
	fragment := tuntest.UDP{Src: taptest.Client, Dst: taptest.Server, IP: tuntest.IP{Fragment: 0x2000}}
	for want, packet := range map[string][]byte{"tcp_options": malformed.Packet(), "ip_fragment": fragment.Packet()} {
		got := r.Pass(taptest.Epoch, &tcpdump.Packet{Data: packet, Length: len(packet)})
		if got.Refused != want || string(got.Data) != string(packet) || len(got.Rewrites) != 0 {
			t.Errorf("%s: passed on as %+v", want, got)
		}
	}
}

func FuzzReplay(f *testing.F) {
	rules := compile(f, []policy.MSSRule{{Clamp: 600, Add: true}}, []policy.DFRule{{Policy: packet.ClearDF}})
	bare := taptest.SYN()
	bare.Options = nil
	for _, b := range [][]byte{taptest.SYN().Packet(), taptest.SYN6().Packet(), bare.Packet(), tuntest.UDP{Src: taptest.Client, Dst: taptest.Server}.Packet()} {
		f.Add(b, uint16(0))
	}
	f.Add(taptest.Edit(taptest.SYN().Packet(), 3, 2), uint16(0)) // shorter than its header
	f.Fuzz(func(t *testing.T, b []byte, missing uint16) {
		p := tcpdump.Packet{Data: b, Length: len(b) + int(missing)}
		got := NewReplay(Options{Rules: rules}).Pass(taptest.Epoch, &p)
		longer := len(got.Data) - len(b)
		if got.Length-p.Length != longer || longer != 0 && longer != optionRoom {
			t.Errorf("%d bytes of %d became %d of %d", len(b), p.Length, len(got.Data), got.Length)
		}
		if len(got.Rewrites) == 0 && string(got.Data) != string(b) {
			t.Error("a packet was changed and no rewrite reported")
		}
		if again := NewReplay(Options{Rules: rules}).Pass(taptest.Epoch, &tcpdump.Packet{Data: got.Data, Length: got.Length}); len(again.Rewrites) > 0 {
			t.Errorf("the passed packet would be changed again: %+v", again.Rewrites)
		}
	})
}
