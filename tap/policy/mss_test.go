package policy_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"syntap/tap/policy"
	"syntap/tun/packet"
	"syntap/tun/tuntest"
)

func TestRewriteMSS(t *testing.T) {
	t.Parallel()
	const rule = 1
	rewrite := func(from, to int) policy.Rewrite {
		return policy.Rewrite{What: "mss", From: from, To: to, Rule: rule}
	}
	clamp := policy.MSSRule{Clamp: 1360}
	add := policy.MSSRule{Clamp: 1360, Add: true}
	tests := []struct {
		name    string
		rule    policy.MSSRule
		syn     syn
		options []byte // after the rule
		want    []policy.Rewrite
	}{
		{"lowered", clamp, syn{options: mss(1460)}, mss(1360), []policy.Rewrite{rewrite(1460, 1360)}},
		{"lowered for IPv6", clamp, syn{options: mss(1440), is6: true}, mss(1360), []policy.Rewrite{rewrite(1440, 1360)}},
		{"the same", clamp, syn{options: mss(1360)}, mss(1360), nil},
		{"never raised", clamp, syn{options: mss(536)}, mss(536), nil},
		{"zero", clamp, syn{options: mss(0)}, mss(0), nil},
		{"with payload", clamp, syn{options: mss(1460), payload: []byte("hello")}, mss(1360), []policy.Rewrite{rewrite(1460, 1360)}},
		{
			"each of several", clamp,
			syn{options: slices.Concat(mss(9000), mss(536), nops(1), mss(1460))},
			slices.Concat(mss(1360), mss(536), nops(1), mss(1360), []byte{0, 0, 0}),
			[]policy.Rewrite{rewrite(9000, 1360), rewrite(1460, 1360)},
		},
		{"missing", clamp, syn{}, nil, nil},
		{"added", add, syn{}, mss(536), []policy.Rewrite{rewrite(policy.None, 536)}},
		{"added for IPv6", add, syn{is6: true}, mss(1220), []policy.Rewrite{rewrite(policy.None, 1220)}},
		{"added below the default", policy.MSSRule{Clamp: 400, Add: true}, syn{is6: true}, mss(400), []policy.Rewrite{rewrite(policy.None, 400)}},
		{"added as the first", add, syn{options: option(8, 10)}, slices.Concat(mss(536), option(8, 10), []byte{0, 0}), []policy.Rewrite{rewrite(policy.None, 536)}},
		{"added up to 60 bytes", add, syn{options: option(200, 36)}, slices.Concat(mss(536), option(200, 36)), []policy.Rewrite{rewrite(policy.None, 536)}},
		{"not added beyond 60 bytes", add, syn{options: option(200, 40)}, option(200, 40), nil},
		{"not added before payload", add, syn{payload: []byte("hello")}, nil, nil},
		{"not added to one that is there", add, syn{options: mss(536)}, mss(536), nil},
		{"off", policy.MSSRule{Clamp: policy.ClampOff, Add: true}, syn{options: mss(9000)}, mss(9000), nil},
		{"malformed, passed", clamp, syn{options: []byte{200, 0, 1, 1}}, []byte{200, 0, 1, 1}, nil},
		{"well-formed, not dropped", policy.MSSRule{Clamp: 1360, Malformed: policy.Drop}, syn{options: slices.Concat(option(8, 10), []byte{0, 200})}, slices.Concat(option(8, 10), []byte{0, 200}), nil},
	}
	for _, tt := range tests {
		tt.syn.flags = tuntest.SYN
		for _, partial := range []bool{false, true} {
			rules := compileMSS(t, policy.Options{}, tt.rule)
			f := tuntest.Frame{Data: tt.syn.packet(1024)}
			wanted := tt.syn
			wanted.options = tt.options
			want := tuntest.Frame{Data: wanted.packet(1024)}
			if partial {
				f, want = tuntest.Offloaded(f.Data, 0), tuntest.Offloaded(want.Data, 0)
			}
			s := tt.syn.segment(f)
			got, verdict := rules.RewriteMSS(nil, s, nil)
			if verdict != policy.Pass {
				t.Errorf("%s, partial %t: verdict %d, want Pass", tt.name, partial, verdict)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s, partial %t: rewrites (-want +got):\n%s", tt.name, partial, diff)
			}
			if diff := cmp.Diff(want.Data, s.Buf); diff != "" {
				t.Errorf("%s, partial %t: packet (-want +got):\n%s", tt.name, partial, diff)
			}
			if hits, want := rules.MSSUse()[0].Hits, uint64(min(len(tt.want), 1)); hits != want {
				t.Errorf("%s, partial %t: hits %d, want %d", tt.name, partial, hits, want)
			}
		}
	}
}

func TestRewriteMSSMalformed(t *testing.T) {
	t.Parallel()
	for _, options := range [][]byte{
		{200, 0, 1, 1},
		{200, 1, 1, 1},
		{200, 5, 1, 1},
		{1, 1, 1, 200},
		slices.Concat(mss(1460), []byte{1, 1, 200, 0}),
	} {
		rules := compileMSS(t, policy.Options{}, policy.MSSRule{Clamp: 1360, Add: true, Malformed: policy.Drop})
		sent := syn{options: options, flags: tuntest.SYN}
		s := sent.segment(tuntest.Frame{Data: sent.packet(1024)})
		if got, verdict := rules.RewriteMSS(nil, s, nil); verdict != policy.Drop || got != nil {
			t.Errorf("options %x: rewrites %v, verdict %d, want none, Drop", options, got, verdict)
		}
		if hits := rules.MSSUse()[0].Hits; hits != 1 {
			t.Errorf("options %x: hits %d, want 1", options, hits)
		}
	}
}

// What is not a whole SYN with room around it stays as it is.
func TestRewriteMSSUntouched(t *testing.T) {
	t.Parallel()
	rules := compileMSS(t, policy.Options{}, policy.MSSRule{Clamp: 400, Add: true, Malformed: policy.Drop})
	tests := []struct {
		name   string
		syn    syn
		change func(s *policy.Packet)
	}{
		{"first fragment", syn{options: mss(1460)}, func(s *policy.Packet) { s.Buf[6] |= 0x20 }},
		{"no room", syn{}, func(s *policy.Packet) { s.Buf = slices.Clip(s.Buf) }},
		{"payload elsewhere", syn{payload: []byte("hello")}, func(s *policy.Packet) { s.Buf = s.Buf[:40] }},
		{"bytes behind the packet", syn{}, func(s *policy.Packet) { s.Buf = s.Buf[:len(s.Buf)+1] }},
		{"length not filled in", syn{}, func(s *policy.Packet) { s.Buf[2], s.Buf[3] = 0, 0 }},
		{"data offset too small", syn{options: mss(1460)}, func(s *policy.Packet) { s.Buf[32] = 0x40 }},
		{"data offset too large", syn{options: mss(1460)}, func(s *policy.Packet) { s.Buf[32] = 0xf0 }},
		{"cut off", syn{options: mss(1460)}, func(s *policy.Packet) { s.Buf = s.Buf[:43] }},
		{"nothing", syn{}, func(s *policy.Packet) { s.Buf = nil }},
	}
	for _, tt := range tests {
		tt.syn.flags = tuntest.SYN
		s := tt.syn.segment(tuntest.Frame{Data: tt.syn.packet(1024)})
		tt.change(s)
		*s.Headers = packet.Headers{}
		s.Headers.Parse(s.Buf, len(s.Buf))
		want := slices.Clone(s.Buf)
		got, verdict := rules.RewriteMSS(nil, s, nil)
		if got != nil || verdict != policy.Pass {
			t.Errorf("%s: rewrites %v, verdict %d, want none, Pass", tt.name, got, verdict)
		}
		if diff := cmp.Diff(want, s.Buf); diff != "" {
			t.Errorf("%s: packet (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestClampToPathMTU(t *testing.T) {
	t.Parallel()
	mtu := func(n packet.MTU) func() packet.MTU { return func() packet.MTU { return n } }
	tests := []struct {
		name   string
		tunMTU packet.MTU
		path   func() packet.MTU
		is6    bool
		want   uint16 // the MSS from 65535
	}{
		{"TUN", 1500, nil, false, 1460},
		{"TUN, IPv6", 1500, nil, true, 1440},
		{"unknown path", 1500, mtu(0), false, 1460},
		{"path", 1500, mtu(1400), false, 1360},
		{"path, IPv6", 1500, mtu(1400), true, 1340},
		{"wider path", 1500, mtu(9000), false, 1460},
		{"path alone", 0, mtu(1400), false, 1360},
		{"path of the loopback interface", 0, mtu(65536), false, 65496},
		{"beyond any packet", 0, mtu(1 << 20), false, 65535},
		{"neither", 0, nil, false, 65535},
		{"no room for a segment", 1500, mtu(40), false, 65535},
		{"no room for a segment, IPv6", 1500, mtu(60), true, 65535},
	}
	for _, tt := range tests {
		rules := compileMSS(t, policy.Options{MTU: tt.tunMTU}, policy.MSSRule{Clamp: policy.ClampPMTU})
		sent := syn{options: mss(65535), is6: tt.is6, flags: tuntest.SYN}
		want := sent
		want.options = mss(tt.want)
		s := sent.segment(tuntest.Frame{Data: sent.packet(1024)})
		if _, verdict := rules.RewriteMSS(nil, s, tt.path); verdict != policy.Pass {
			t.Errorf("%s: verdict %d, want Pass", tt.name, verdict)
		}
		if diff := cmp.Diff(want.packet(1024), s.Buf); diff != "" {
			t.Errorf("%s: packet (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestUpstreamMSS(t *testing.T) {
	t.Parallel()
	lan := policy.Match{Src: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}
	toward := func(d packet.Direction, clamp policy.Clamp) policy.MSSRule {
		return policy.MSSRule{Match: policy.Match{Src: lan.Src, Direction: d}, Clamp: clamp}
	}
	tests := []struct {
		name  string
		rules []policy.MSSRule
		want  packet.MSS
	}{
		{"no rule", nil, 0},
		{"other clients", []policy.MSSRule{{Match: policy.Match{Family: 6}, Clamp: 1200}}, 0},
		{"off", []policy.MSSRule{toward(packet.Both, policy.ClampOff), toward(packet.Both, 1200)}, 0},
		{"number", []policy.MSSRule{toward(packet.Both, 1200)}, 1200},
		{"path MTU", []policy.MSSRule{toward(packet.Both, policy.ClampPMTU)}, 1360},
		{"outbound", []policy.MSSRule{toward(packet.Outbound, 1200)}, 1200},
		{"inbound", []policy.MSSRule{toward(packet.Inbound, 1200)}, 1200},
		{"the lower of two", []policy.MSSRule{toward(packet.Outbound, policy.ClampPMTU), toward(packet.Inbound, 1200)}, 1200},
		{"the lower of two, outbound", []policy.MSSRule{toward(packet.Outbound, 1200), toward(packet.Inbound, 1300)}, 1200},
		{"one is off", []policy.MSSRule{toward(packet.Outbound, policy.ClampOff), toward(packet.Inbound, 1300)}, 1300},
	}
	for _, tt := range tests {
		rules := compileMSS(t, policy.Options{MTU: 1500}, tt.rules...)
		asked := 0
		got := rules.UpstreamMSS(netip.AddrPortFrom(client4, 1024), netip.AddrPortFrom(server4, 443), func() packet.MTU { asked++; return 1400 })
		if got != tt.want || asked > 1 {
			t.Errorf("%s: UpstreamMSS = %d after %d questions for the path MTU, want %d after at most one", tt.name, got, asked, tt.want)
		}
	}
}

// A rule with the clamp auto bounds the MSS by the findings on the server, on both legs,
// and leaves others alone; a rule before it wins.
func TestClampToFound(t *testing.T) {
	t.Parallel()
	learned := func(_, server netip.Addr) packet.MSS {
		if server == netip.MustParseAddr("203.0.113.2") {
			return 1360
		}
		return 0
	}
	office := policy.Match{Dst: []netip.Prefix{netip.MustParsePrefix("203.0.113.3/32")}, Direction: packet.Both}
	rules := compileMSS(t, policy.Options{Learned: learned},
		policy.MSSRule{Match: office, Clamp: 1300},
		policy.MSSRule{Match: policy.Match{Direction: packet.Both}, Clamp: policy.ClampAuto})
	client := netip.MustParseAddrPort("192.0.2.1:1000")
	for server, want := range map[string]struct {
		mss    packet.MSS
		learns bool
	}{
		"203.0.113.2:443": {1360, true}, "203.0.113.3:443": {1300, false}, "203.0.113.4:443": {0, true},
	} {
		far := netip.MustParseAddrPort(server)
		if got := rules.UpstreamMSS(client, far, nil); got != want.mss || rules.Learns(client, far) != want.learns {
			t.Errorf("%s: MSS %d, learns %t; want %+v", server, got, rules.Learns(client, far), want)
		}
	}
	if got := compileMSS(t, policy.Options{}, policy.MSSRule{Clamp: policy.ClampAuto}).UpstreamMSS(client, client, nil); got != 0 {
		t.Errorf("MSS %d where nothing is found out", got)
	}
}
