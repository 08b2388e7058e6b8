package policy_test

import (
	"testing"

	"syntap/tap/policy"
	"syntap/tun/packet"
	"syntap/tun/tuntest"
)

// step is what the packet path does with one packet.
type step struct {
	name string
	run  func()
}

func perPacket(tb testing.TB) []step {
	tb.Helper()
	compile := func(mss []policy.MSSRule, df []policy.DFRule) *policy.Rules {
		r, err := policy.Compile(mss, df, policy.Options{MTU: 1500})
		if err != nil {
			tb.Fatal(err)
		}
		return r
	}
	var mss10 []policy.MSSRule
	var df10 []policy.DFRule
	elsewhere := policy.Match{Dst: prefixes("203.0.113.0/25", "203.0.113.128/25"), Ports: []packet.PortRange{{First: 443, Last: 443}}}
	for range 9 {
		mss10 = append(mss10, policy.MSSRule{Match: elsewhere, Clamp: 500})
		df10 = append(df10, policy.DFRule{Match: elsewhere, Policy: packet.ClearDF})
	}
	mss10 = append(mss10, policy.MSSRule{Clamp: policy.ClampPMTU, Add: true})
	df10 = append(df10, policy.DFRule{Policy: packet.SetDF})
	one, ten, none := compile(mss10[9:], df10[9:]), compile(mss10, df10), compile(nil, nil)

	pathMTU := func() packet.MTU { return 1400 }
	clamp := func(r *policy.Rules, sent syn) func() {
		sent.flags = tuntest.SYN
		b := sent.packet(1024)
		buf, h := make([]byte, 128), parsed(b, packet.Outbound).Headers
		return func() {
			var memory [4]policy.Rewrite
			s := policy.Packet{Buf: buf[:copy(buf, b)], Headers: h, Direction: packet.Outbound}
			_, _ = r.RewriteMSS(memory[:0], &s, pathMTU)
		}
	}
	setDF := func(r *policy.Rules) func() {
		b := packetsWith(tuntest.IP{})["UDP"]
		buf, h := make([]byte, 128), parsed(b, packet.Outbound).Headers
		return func() {
			_, _ = r.RewriteDF(&policy.Packet{Buf: buf[:copy(buf, b)], Headers: h, Direction: packet.Outbound})
		}
	}
	return []step{
		{"mss/no rule", clamp(none, syn{options: mss(1460)})},
		{"mss/one rule", clamp(one, syn{options: mss(1460)})},
		{"mss/one rule, IPv6", clamp(one, syn{options: mss(1460), is6: true})},
		{"mss/one rule, added", clamp(one, syn{})},
		{"mss/the tenth rule", clamp(ten, syn{options: mss(1460)})},
		{"df/no rule", setDF(none)},
		{"df/one rule", setDF(one)},
		{"df/the tenth rule", setDF(ten)},
	}
}

func TestNoAllocation(t *testing.T) {
	for _, s := range perPacket(t) {
		if got := testing.AllocsPerRun(100, s.run); got != 0 {
			t.Errorf("%s: %v allocations per packet, want 0", s.name, got)
		}
	}
}

func BenchmarkPerPacket(b *testing.B) {
	for _, s := range perPacket(b) {
		b.Run(s.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.run()
			}
		})
	}
}
