package tap

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"syntap/tap/handshake"
	"syntap/tap/policy"
	"syntap/tap/taptest"
	"syntap/tun"
	"syntap/tun/packet"
	"syntap/tun/tuntest"
)

func compile(tb testing.TB, mss []policy.MSSRule, df []policy.DFRule) *policy.Rules {
	tb.Helper()
	r, err := policy.Compile(mss, df, policy.Options{MTU: 1500, RandomID: func() uint16 { return 0xbeef }})
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func clampTo(mss policy.Clamp) []policy.MSSRule { return []policy.MSSRule{{Clamp: mss}} }

// mssOption is an MSS option.
func mssOption(mss uint16) []byte { return binary.BigEndian.AppendUint16([]byte{2, 4}, mss) }

// TestRewriteHandshake clamps a handshake and clears its DF bit: the record shows it as it stands
// on the TUN and names the changes, and both ends get the changed segments.
func TestRewriteHandshake(t *testing.T) {
	t.Parallel()
	for _, offloaded := range []bool{false, true} {
		w := newWorld(t, Options{Rules: compile(t, clampTo(1300), []policy.DFRule{{Policy: packet.ClearDF}})})
		client := tuntest.TCP{Src: taptest.Client, Dst: taptest.Server, Window: 64240, IP: tuntest.IP{DF: true}}
		server := tuntest.TCP{Src: taptest.Server, Dst: taptest.Client, Window: 64240, IP: tuntest.IP{DF: true}}
		syn, synack, third := client, server, client
		syn.Flags, syn.Seq, syn.Options = tuntest.SYN, 1000, mssOption(1460)
		synack.Flags, synack.Seq, synack.Ack, synack.Options = tuntest.SYN|tuntest.ACK, 5000, 1001, mssOption(1400)
		third.Flags, third.Seq, third.Ack = tuntest.ACK, 1001, 5001
		rewritten := func(s tuntest.TCP, mss uint16) []byte {
			s.IP = tuntest.IP{ID: 0xbeef}
			if mss > 0 {
				s.Options = mssOption(mss)
			}
			return s.Packet()
		}

		frame := func(s tuntest.TCP) tuntest.Frame {
			if offloaded {
				return tuntest.Offloaded(s.Packet(), 0)
			}
			return tuntest.Frame{Data: s.Packet()}
		}
		var passed [][]byte
		send := func(s tuntest.TCP) {
			got, reason := w.send(frame(s))
			if reason != "" {
				t.Fatalf("%d was dropped: %s", s.Flags, reason)
			}
			passed = append(passed, finished(got))
		}
		send(syn)
		f := frame(synack)
		if err := w.tap.WriteFrame(f.Offload, [][]byte{f.Data}); err != nil {
			t.Fatal(err)
		}
		passed = append(passed, finished(tuntest.Frame{Data: w.link.inbound[0], Offload: f.Offload}))
		send(third)

		want := [][]byte{rewritten(syn, 1300), rewritten(synack, 1300), rewritten(third, 0)}
		if diff := cmp.Diff(want, passed); diff != "" {
			t.Errorf("offloaded %t: packets passed (-want +got):\n%s", offloaded, diff)
		}
		if len(w.rec.Records) != 1 {
			t.Fatalf("offloaded %t: %d records", offloaded, len(w.rec.Records))
		}
		record := w.rec.Records[0]
		wantRewrites := []handshake.Rewrite{
			changed("syn", "mss", "1460", "1300", 1), changed("syn", "df", "set", "clear", 1),
			changed("synack", "mss", "1400", "1300", 1), changed("synack", "df", "set", "clear", 1),
			changed("ack", "df", "set", "clear", 1),
		}
		if diff := cmp.Diff(wantRewrites, record.Rewrites); diff != "" {
			t.Errorf("offloaded %t: rewrites (-want +got):\n%s", offloaded, diff)
		}
		shown := [][]byte{syn.Packet(), want[1], third.Packet()}
		for i, s := range record.Segments {
			if diff := cmp.Diff(shown[i], s.Packet.Data); diff != "" {
				t.Errorf("offloaded %t: shown segment %d (-want +got):\n%s", offloaded, i, diff)
			}
		}
		if *record.SYN.MSS != 1460 || *record.SYNACK.MSS != 1300 || !record.SYN.DF || record.SYNACK.DF {
			t.Errorf("offloaded %t: offers %+v and %+v, want those on the TUN", offloaded, record.SYN, record.SYNACK)
		}
		stats := w.tap.Stats()
		if diff := cmp.Diff(map[string]uint64{"syn": 1, "synack": 1}, stats.MSSRewrites); diff != "" {
			t.Errorf("offloaded %t: mss rewrites counted (-want +got):\n%s", offloaded, diff)
		}
		if diff := cmp.Diff(map[string]uint64{"set": 0, "clear": 3}, stats.DFRewrites); diff != "" {
			t.Errorf("offloaded %t: df rewrites counted (-want +got):\n%s", offloaded, diff)
		}
		if diff := cmp.Diff(uint64(2), w.tap.Rules().MSSUse()[0].Hits); diff != "" {
			t.Errorf("offloaded %t: hits of the rule (-want +got):\n%s", offloaded, diff)
		}
	}
}

// finished returns the packet of a frame with its TCP checksum complete.
func finished(f tuntest.Frame) []byte {
	if f.Offload.Flags&tun.NeedsCsum != 0 {
		h := f.Data[f.Offload.CsumStart:]
		binary.BigEndian.PutUint16(h[packet.TCPChecksum:], ^packet.Checksum(h, 0))
	}
	return f.Data
}

// TestAddMSS adds the option to segments that have none, in both directions: they become longer.
func TestAddMSS(t *testing.T) {
	t.Parallel()
	for _, s := range []tuntest.TCP{taptest.SYN(), taptest.SYN6()} {
		w := newWorld(t, Options{Rules: compile(t, []policy.MSSRule{{Clamp: 500, Add: true}}, nil)})
		s.Options = nil
		answer := s
		answer.Src, answer.Dst, answer.Flags, answer.Ack = s.Dst, s.Src, tuntest.SYN|tuntest.ACK, s.Seq+1
		got, reason := w.send(tuntest.Frame{Data: append(s.Packet(), 0, 0)}) // with a trailer, which is cut off
		if err := w.tap.WriteFrame(tun.Offload{}, [][]byte{slices.Clip(answer.Packet())}); err != nil || reason != "" {
			t.Fatalf("dropped: %s, %v", reason, err)
		}
		s.Options, answer.Options = mssOption(500), mssOption(500)
		if diff := cmp.Diff([][]byte{s.Packet(), answer.Packet()}, [][]byte{got.Data, w.link.inbound[0]}); diff != "" {
			t.Errorf("packets with the option (-want +got):\n%s", diff)
		}
		if n := len(w.rec.Segments); n != 2 || len(w.rec.Segments[1].Packet.Data) != len(answer.Packet()) {
			t.Errorf("%d segments shown, want the SYN-ACK with its option", n)
		}
	}
}

// TestPathMTU checks the arguments of Options.PathMTU: client and server of the flow, for segments
// in both directions.
func TestPathMTU(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{
		Rules: compile(t, clampTo(policy.ClampPMTU), nil),
		PathMTU: func(client, server netip.AddrPort) packet.MTU {
			if client != taptest.Client || server != taptest.Server {
				t.Errorf("path MTU between %v and %v asked for", client, server)
			}
			return 1400
		},
	})
	syn := taptest.SYN()
	answer := syn
	answer.Src, answer.Dst, answer.Flags, answer.Ack = syn.Dst, syn.Src, tuntest.SYN|tuntest.ACK, syn.Seq+1
	got, _ := w.send(tuntest.Frame{Data: syn.Packet()})
	if err := w.tap.WriteFrame(tun.Offload{}, [][]byte{answer.Packet()}); err != nil {
		t.Fatal(err)
	}
	for _, b := range [][]byte{got.Data, w.link.inbound[0]} {
		if mss := binary.BigEndian.Uint16(b[42:]); mss != 1360 {
			t.Errorf("MSS %d passed, want 1360", mss)
		}
	}
	// Another set of rules is in force at once; without rules PathMTU is not called.
	w.tap.SetRules(nil)
	syn.Src = netip.AddrPortFrom(syn.Src.Addr(), syn.Src.Port()+1)
	if got, _ := w.send(tuntest.Frame{Data: syn.Packet()}); !slices.Equal(got.Data, syn.Packet()) {
		t.Error("a SYN was changed without rules")
	}
}

// TestRulesDrop has rules refuse packets of a client.
func TestRulesDrop(t *testing.T) {
	t.Parallel()
	rules := compile(t, []policy.MSSRule{{Clamp: 1300, Malformed: policy.Drop}}, []policy.DFRule{{Policy: packet.EnforceDF}})
	malformed := taptest.SYN()
	malformed.Options = []byte{2, 0, 0, 0}
	udp := tuntest.UDP{Src: taptest.Client, Dst: taptest.Server, Payload: make([]byte, 100)}
	first, later := udp, udp
	first.IP.Fragment, later.IP.Fragment = 0x2000, 185
	tcp := taptest.SYN()
	tcp.IP.Fragment = 0x2000
	tests := []struct {
		name     string
		packet   []byte
		reason   string
		answered bool
	}{
		{"malformed options", malformed.Packet(), "tcp_options", false},
		{"first fragment", first.Packet(), "ip_fragment", true},
		{"later fragment", later.Packet(), "ip_fragment", false},
		{"fragment of TCP", tcp.Packet(), "ip_fragment", true},
		{"whole datagram", udp.Packet(), "", false},
	}
	for _, tt := range tests {
		w := newWorld(t, Options{Rules: rules})
		if _, reason := w.send(tuntest.Frame{Data: slices.Clone(tt.packet)}); reason != tt.reason {
			t.Errorf("%s: dropped as %q, want %q", tt.name, reason, tt.reason)
		}
		var want [][]byte
		if tt.answered {
			want = [][]byte{tuntest.ICMP{
				Src: taptest.Server.Addr(), Dst: taptest.Client.Addr(), Type: 3, Code: 4, Rest: [4]byte{2: 1500 >> 8, 3: 1500 & 0xff},
				Payload: tt.packet[:min(len(tt.packet), tun.HeadSize)], IP: tuntest.IP{DF: true},
			}.Packet()}
		}
		if diff := cmp.Diff(want, w.link.inbound); diff != "" {
			t.Errorf("%s: answers (-want +got):\n%s", tt.name, diff)
		}
	}

	// A flood of fragments is not answered one by one.
	w := newWorld(t, Options{Rules: rules})
	for range 3 * answersPerSecond {
		w.send(tuntest.Frame{Data: first.Packet()})
	}
	if n := len(w.link.inbound); n != answersPerSecond {
		t.Errorf("%d answers at one moment, want %d", n, answersPerSecond)
	}
}

// TestDFOfDatagrams sets the bit on packets that are not TCP, both ways.
func TestDFOfDatagrams(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{Rules: compile(t, nil, []policy.DFRule{{Policy: packet.SetDF}})})
	udp := tuntest.UDP{Src: taptest.Client, Dst: taptest.Server, Payload: []byte("question")}
	got, reason := w.send(tuntest.Frame{Data: udp.Packet()})
	if err := w.tap.WriteFrame(tun.Offload{}, [][]byte{udp.Packet()}); err != nil || reason != "" {
		t.Fatalf("dropped: %s, %v", reason, err)
	}
	udp.IP.DF = true
	if diff := cmp.Diff([][]byte{udp.Packet(), udp.Packet()}, [][]byte{got.Data, w.link.inbound[0]}); diff != "" {
		t.Errorf("packets (-want +got):\n%s", diff)
	}
	if got := w.tap.Stats().DFRewrites["set"]; got != 2 {
		t.Errorf("%d packets counted, want 2", got)
	}
}

// TestRewriteAllocations measures data segments under rules for everything.
func TestRewriteAllocations(t *testing.T) {
	rules := compile(t, clampTo(1300), []policy.DFRule{{Policy: packet.SetDF}})
	for _, s := range []tuntest.TCP{taptest.SYN(), taptest.SYN6()} {
		f := dataSegment(s)
		tap := Wrap(&repeatLink{frame: f}, Options{Rules: rules})
		read := newFrame()
		head, body := read.Head, read.Body
		bufs := [][]byte{slices.Clone(f.Data)}
		n := testing.AllocsPerRun(1000, func() {
			read.Head, read.Body = head, body
			if err := tap.ReadFrame(read); err != nil {
				t.Fatal(err)
			}
			copy(bufs[0], f.Data)
			if err := tap.WriteFrame(f.Offload, bufs); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("a data segment from %v costs %v allocations each way", s.Src, n)
		}
	}
}

// changed is a change of a segment in a record.
func changed(packet, what, from, to string, rule int) handshake.Rewrite {
	return handshake.Rewrite{Packet: packet, What: what, From: from, To: to, Rule: rule}
}
