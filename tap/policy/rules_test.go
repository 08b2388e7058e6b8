package policy_test

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"syntap/tap/policy"
	"syntap/tun/packet"
	"syntap/tun/tuntest"
)

func prefixes(texts ...string) (all []netip.Prefix) {
	for _, s := range texts {
		all = append(all, netip.MustParsePrefix(s))
	}
	return all
}

func TestFirstMatchWins(t *testing.T) {
	t.Parallel()
	rules := compileMSS(t, policy.Options{},
		policy.MSSRule{Match: policy.Match{Src: prefixes("192.0.2.128/25", "2001:db8:5::/48"), Dst: prefixes("198.51.100.0/24", "2001:db8:6::/48")}, Clamp: 1001},
		policy.MSSRule{Match: policy.Match{Ports: []packet.PortRange{{First: 8080, Last: 8090}, {First: 443, Last: 443}, {First: 8091, Last: 8099}}}, Clamp: 1002},
		policy.MSSRule{Match: policy.Match{Direction: packet.Inbound, Family: 6}, Clamp: 1003},
		policy.MSSRule{Match: policy.Match{Direction: packet.Outbound, Family: 4, Dst: prefixes("203.0.113.0/24")}, Clamp: policy.ClampOff},
		policy.MSSRule{Match: policy.Match{Src: prefixes("192.0.2.0/24", "203.0.113.7/32")}, Clamp: 1005},
	)
	tests := []struct {
		client, server string
		direction      packet.Direction
		want           int // number of the rule that rewrites
	}{
		{"192.0.2.128:1024", "198.51.100.7:22", packet.Outbound, 1},
		{"192.0.2.128:1024", "198.51.100.7:443", packet.Inbound, 1},
		{"192.0.2.127:1024", "198.51.100.7:443", packet.Inbound, 2},
		{"192.0.2.128:1024", "198.51.101.7:22", packet.Outbound, 5},
		{"[2001:db8:5::1]:1024", "[2001:db8:6::1]:22", packet.Outbound, 1},
		{"[2001:db8:5::1]:1024", "[2001:db8:7::1]:22", packet.Outbound, 0},
		{"[2001:db8:5::1]:1024", "[2001:db8:7::1]:22", packet.Inbound, 3},
		{"[2001:db8:5::1]:443", "[2001:db8:7::1]:8095", packet.Outbound, 2},
		{"[2001:db8:5::1]:443", "[2001:db8:7::1]:8100", packet.Outbound, 0},
		{"192.0.2.1:1024", "203.0.113.1:22", packet.Outbound, 0},
		{"192.0.2.1:1024", "203.0.113.1:22", packet.Inbound, 5},
		{"203.0.113.7:1024", "192.0.2.1:22", packet.Outbound, 5},
		{"203.0.113.8:1024", "192.0.2.1:22", packet.Outbound, 0},
	}
	for _, tt := range tests {
		tcp := tuntest.TCP{
			Src: netip.MustParseAddrPort(tt.client), Dst: netip.MustParseAddrPort(tt.server),
			Flags: tuntest.SYN, Options: mss(1460),
		}
		if tt.direction == packet.Inbound {
			tcp.Src, tcp.Dst, tcp.Flags = tcp.Dst, tcp.Src, tuntest.SYN|tuntest.ACK
		}
		got, _ := rules.RewriteMSS(nil, parsed(tcp.Packet(), tt.direction), nil)
		var want []policy.Rewrite
		if tt.want > 0 {
			want = []policy.Rewrite{{What: "mss", From: 1460, To: 1000 + tt.want, Rule: tt.want}}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s to %s, direction %d (-want +got):\n%s", tt.client, tt.server, tt.direction, diff)
		}
	}
}

func TestCompileErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		mss  []policy.MSSRule
		df   []policy.DFRule
		want string
	}{
		{mss: []policy.MSSRule{{}, {Clamp: -3}}, want: "compile mss rule 2: clamp -3 is no MSS"},
		{mss: []policy.MSSRule{{Clamp: 65536}}, want: "compile mss rule 1: clamp 65536 is no MSS"},
		{mss: []policy.MSSRule{{Match: policy.Match{Family: 5}}}, want: "compile mss rule 1: family 5 is neither 4 nor 6"},
		{mss: []policy.MSSRule{{Match: policy.Match{Direction: 4}}}, want: "compile mss rule 1: direction 4 is unknown"},
		{
			mss:  []policy.MSSRule{{Match: policy.Match{Src: prefixes("192.0.2.0/24"), Dst: prefixes("2001:db8::/32")}}},
			want: "compile mss rule 1: src, dst and family exclude each other",
		},
		{
			mss:  []policy.MSSRule{{Match: policy.Match{Src: prefixes("192.0.2.0/24"), Family: 6}}},
			want: "compile mss rule 1: src, dst and family exclude each other",
		},
		{
			mss:  []policy.MSSRule{{Match: policy.Match{Ports: []packet.PortRange{{First: 1, Last: 2}, {First: 80, Last: 79}}}}},
			want: "compile mss rule 1: ports 80-79 end before they begin",
		},
		{df: []policy.DFRule{{Match: policy.Match{Family: 6}}}, want: "compile df rule 1: only IPv4 has the DF bit"},
		{df: []policy.DFRule{{}, {Match: policy.Match{Dst: prefixes("2001:db8::/32")}}}, want: "compile df rule 2: only IPv4 has the DF bit"},
		{df: []policy.DFRule{{Policy: 4}}, want: "compile df rule 1: policy 4 is unknown"},
	}
	for _, tt := range tests {
		if _, err := policy.Compile(tt.mss, tt.df, policy.Options{}); err == nil || err.Error() != tt.want {
			t.Errorf("Compile(%v, %v) = %v, want %s", tt.mss, tt.df, err, tt.want)
		}
	}
}

func TestShadowed(t *testing.T) {
	t.Parallel()
	ports := func(ends ...uint16) (all []packet.PortRange) {
		for i := 0; i < len(ends); i += 2 {
			all = append(all, packet.PortRange{First: ends[i], Last: ends[i+1]})
		}
		return all
	}
	tests := []struct {
		name           string
		earlier, later policy.Match
		want           bool
	}{
		{"the same", policy.Match{}, policy.Match{}, true},
		{"everything", policy.Match{}, policy.Match{Src: prefixes("192.0.2.0/24"), Ports: ports(80, 80), Direction: packet.Inbound}, true},
		{"everything behind something", policy.Match{Src: prefixes("192.0.2.0/24")}, policy.Match{}, false},
		{"inner prefix", policy.Match{Dst: prefixes("192.0.2.0/24")}, policy.Match{Dst: prefixes("192.0.2.128/25")}, true},
		{"outer prefix", policy.Match{Dst: prefixes("192.0.2.128/25")}, policy.Match{Dst: prefixes("192.0.2.0/24")}, false},
		{"one prefix of two", policy.Match{Dst: prefixes("192.0.2.0/24")}, policy.Match{Dst: prefixes("192.0.2.0/24", "198.51.100.0/24")}, false},
		{"source is not destination", policy.Match{Src: prefixes("192.0.2.0/24")}, policy.Match{Dst: prefixes("192.0.2.0/24")}, false},
		{"every IPv4 prefix", policy.Match{Family: 4}, policy.Match{Src: prefixes("192.0.2.0/24")}, true},
		{"every IPv4 prefix, IPv6 too", policy.Match{Family: 4}, policy.Match{Src: prefixes("192.0.2.0/24", "2001:db8::/32")}, false},
		{"family by prefix", policy.Match{Src: prefixes("0.0.0.0/0")}, policy.Match{Family: 4, Dst: prefixes("192.0.2.0/24")}, true},
		{"direction", policy.Match{Direction: packet.Inbound}, policy.Match{Direction: packet.Outbound}, false},
		{"one direction of both", policy.Match{Direction: packet.Inbound}, policy.Match{}, false},
		{"both directions", policy.Match{}, policy.Match{Direction: packet.Outbound}, true},
		{"inner ports", policy.Match{Ports: ports(1, 99)}, policy.Match{Ports: ports(80, 80, 22, 22)}, true},
		{"ports that touch", policy.Match{Ports: ports(90, 99, 80, 89)}, policy.Match{Ports: ports(85, 95)}, true},
		{"ports with a gap", policy.Match{Ports: ports(80, 89, 91, 99)}, policy.Match{Ports: ports(85, 95)}, false},
		{"nested ports", policy.Match{Ports: ports(80, 99, 85, 86, 100, 100)}, policy.Match{Ports: ports(90, 100)}, true},
		{"all ports are not every packet", policy.Match{Ports: ports(0, 65535)}, policy.Match{}, false},
	}
	for _, tt := range tests {
		rules, err := policy.Compile(
			[]policy.MSSRule{{Match: tt.earlier}, {Match: tt.later}},
			[]policy.DFRule{{Match: tt.earlier}, {Match: tt.later}}, policy.Options{})
		if err != nil {
			t.Fatal(err)
		}
		var want []policy.Shadowed
		if tt.want {
			want = []policy.Shadowed{{Rule: 2, By: 1}}
		}
		if diff := cmp.Diff(want, rules.ShadowedMSS()); diff != "" {
			t.Errorf("%s: shadowed mss rules (-want +got):\n%s", tt.name, diff)
		}
		// Where only IPv6 makes the difference there is none for the DF bit.
		if tt.name == "every IPv4 prefix, IPv6 too" {
			want = []policy.Shadowed{{Rule: 2, By: 1}}
		}
		if diff := cmp.Diff(want, rules.ShadowedDF()); diff != "" {
			t.Errorf("%s: shadowed df rules (-want +got):\n%s", tt.name, diff)
		}
	}
}

// Compiling neither keeps the slices of a rule nor changes them.
func TestCompileLeavesItsInput(t *testing.T) {
	t.Parallel()
	rule := policy.MSSRule{Match: policy.Match{Ports: []packet.PortRange{{First: 9, Last: 9}, {First: 7, Last: 8}}}, Clamp: 1360}
	rules := compileMSS(t, policy.Options{}, rule)
	want := []packet.PortRange{{First: 9, Last: 9}, {First: 7, Last: 8}}
	if diff := cmp.Diff(want, rule.Ports); diff != "" {
		t.Errorf("ports (-want +got):\n%s", diff)
	}
	rule.Ports[0] = packet.PortRange{}
	if got := rules.UpstreamMSS(netip.AddrPortFrom(client4, 1), netip.AddrPortFrom(server4, 9), nil); got != 1360 {
		t.Errorf("UpstreamMSS after a change of the input = %d, want 1360", got)
	}
}

// The zero value has no rules.
func TestNoRules(t *testing.T) {
	t.Parallel()
	var rules policy.Rules
	sent := syn{options: mss(1460), flags: tuntest.SYN}
	f := tuntest.Frame{Data: sent.packet(1024)}
	s := sent.segment(f)
	rewrites, verdict := rules.RewriteMSS(nil, s, nil)
	rewrite, dfVerdict := rules.RewriteDF(s)
	if rewrites != nil || verdict != policy.Pass || rewrite != (policy.Rewrite{}) || dfVerdict != policy.Pass {
		t.Errorf("rewrites %v %d, %v %d, want none", rewrites, verdict, rewrite, dfVerdict)
	}
	if diff := cmp.Diff(f.Data, s.Buf); diff != "" {
		t.Errorf("packet (-want +got):\n%s", diff)
	}
	if rules.HasMSS() || rules.HasDF() || len(rules.MSSUse())+len(rules.DFUse()) > 0 || rules.ShadowedMSS() != nil || rules.ShadowedDF() != nil {
		t.Error("the zero Rules have rules")
	}
}

func TestRewriteWords(t *testing.T) {
	t.Parallel()
	tests := []struct {
		rewrite  policy.Rewrite
		from, to string
	}{
		{policy.Rewrite{What: "mss", From: 1460, To: 1360}, "1460", "1360"},
		{policy.Rewrite{What: "mss", From: policy.None, To: 536}, "none", "536"},
		{policy.Rewrite{What: "df", From: 0, To: 1}, "clear", "set"},
		{policy.Rewrite{What: "df", From: 1, To: 0}, "set", "clear"},
	}
	for _, tt := range tests {
		if from, to := tt.rewrite.Words(); from != tt.from || to != tt.to {
			t.Errorf("%+v.Words() = %s, %s, want %s, %s", tt.rewrite, from, to, tt.from, tt.to)
		}
	}
}
