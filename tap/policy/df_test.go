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

const moreFragments = 0x2000

func TestRewriteDF(t *testing.T) {
	t.Parallel()
	set := policy.Rewrite{What: "df", From: 0, To: 1, Rule: 1}
	cleared := policy.Rewrite{What: "df", From: 1, To: 0, Rule: 1}
	none := policy.Rewrite{}
	tests := []struct {
		name      string
		policy    packet.DF
		direction packet.Direction
		ip, after tuntest.IP
		want      policy.Rewrite
		verdict   policy.Verdict
	}{
		{"preserve", packet.PreserveDF, packet.Inbound, tuntest.IP{DF: true}, tuntest.IP{DF: true}, none, policy.Pass},
		{"set", packet.SetDF, packet.Inbound, tuntest.IP{ID: 7}, tuntest.IP{ID: 7, DF: true}, set, policy.Pass},
		{"set already", packet.SetDF, packet.Inbound, tuntest.IP{DF: true}, tuntest.IP{DF: true}, none, policy.Pass},
		{
			"set on a fragment", packet.SetDF, packet.Outbound,
			tuntest.IP{ID: 7, Fragment: moreFragments | 185},
			tuntest.IP{ID: 7, Fragment: moreFragments | 185, DF: true},
			set, policy.Pass,
		},
		{"clear", packet.ClearDF, packet.Inbound, tuntest.IP{ID: 7, DF: true}, tuntest.IP{ID: 7}, cleared, policy.Pass},
		{"clear with a zero identification", packet.ClearDF, packet.Inbound, tuntest.IP{DF: true}, tuntest.IP{ID: 0xbeef}, cleared, policy.Pass},
		{"clear with IPv4 options", packet.ClearDF, packet.Inbound, tuntest.IP{DF: true, Options: nops(4)}, tuntest.IP{ID: 0xbeef, Options: nops(4)}, cleared, policy.Pass},
		{"clear already", packet.ClearDF, packet.Inbound, tuntest.IP{}, tuntest.IP{}, none, policy.Pass},
		{"clear on a fragment", packet.ClearDF, packet.Inbound, tuntest.IP{DF: true, Fragment: moreFragments}, tuntest.IP{Fragment: moreFragments}, cleared, policy.Pass},
		{"clear on the last fragment", packet.ClearDF, packet.Inbound, tuntest.IP{DF: true, Fragment: 185}, tuntest.IP{Fragment: 185}, cleared, policy.Pass},
		{"enforce", packet.EnforceDF, packet.Outbound, tuntest.IP{}, tuntest.IP{DF: true}, set, policy.Pass},
		{"enforce on the first fragment", packet.EnforceDF, packet.Outbound, tuntest.IP{Fragment: moreFragments}, tuntest.IP{Fragment: moreFragments}, none, policy.TooBig},
		{"enforce on a later fragment", packet.EnforceDF, packet.Outbound, tuntest.IP{Fragment: moreFragments | 185}, tuntest.IP{Fragment: moreFragments | 185}, none, policy.Drop},
		{"enforce on the last fragment", packet.EnforceDF, packet.Outbound, tuntest.IP{Fragment: 370}, tuntest.IP{Fragment: 370}, none, policy.Drop},
		{"enforce on a fragment to the client", packet.EnforceDF, packet.Inbound, tuntest.IP{Fragment: 370}, tuntest.IP{Fragment: 370, DF: true}, set, policy.Pass},
	}
	for _, tt := range tests {
		rules, err := policy.Compile(nil, []policy.DFRule{{Policy: tt.policy}}, policy.Options{RandomID: func() uint16 { return 0xbeef }})
		if err != nil {
			t.Fatal(err)
		}
		hits := uint64(0)
		for protocol, b := range packetsWith(tt.ip) {
			want := packetsWith(tt.after)[protocol]
			got, verdict := rules.RewriteDF(parsed(b, tt.direction))
			if got != tt.want || verdict != tt.verdict {
				t.Errorf("%s, %s: %+v, verdict %d, want %+v, %d", tt.name, protocol, got, verdict, tt.want, tt.verdict)
			}
			if diff := cmp.Diff(want, b); diff != "" {
				t.Errorf("%s, %s: packet (-want +got):\n%s", tt.name, protocol, diff)
			}
			if tt.want != none || tt.verdict != policy.Pass {
				hits++
			}
		}
		if got := rules.DFUse()[0].Hits; got != hits {
			t.Errorf("%s: hits %d, want %d", tt.name, got, hits)
		}
	}
}

// packetsWith returns one packet of each kind with the same IP header.
func packetsWith(h tuntest.IP) map[string][]byte {
	src, dst := netip.AddrPortFrom(client4, 1024), netip.AddrPortFrom(server4, 443)
	all := map[string][]byte{
		"TCP":                 tuntest.TCP{Src: src, Dst: dst, Flags: tuntest.ACK, Payload: []byte("hello"), IP: h}.Packet(),
		"UDP":                 tuntest.UDP{Src: src, Dst: dst, Payload: []byte("hello"), IP: h}.Packet(),
		"ICMP":                tuntest.ICMP{Src: client4, Dst: server4, Type: 8, IP: h}.Packet(),
		"a header of its own": h.Packet(client4, server4, 17, nil),
	}
	if h.Fragment == 0 {
		tcp := tuntest.TCP{Src: src, Dst: dst, Flags: tuntest.ACK, Payload: make([]byte, 60000), IP: h}
		all["GSO packet"] = tuntest.Offloaded(tcp.Packet(), 1460).Data
	}
	return all
}

func TestRewriteDFMatches(t *testing.T) {
	t.Parallel()
	client, server := netip.AddrPortFrom(client4, 1024), netip.AddrPortFrom(server4, 53)
	query := tuntest.UDP{Src: client, Dst: server}
	answer := tuntest.UDP{Src: server, Dst: client}
	fragment := query
	fragment.IP.Fragment = 185
	ping := tuntest.ICMP{Src: client4, Dst: server4, Type: 8}
	query6 := tuntest.UDP{Src: netip.AddrPortFrom(client6, 1024), Dst: netip.AddrPortFrom(server6, 53)}
	domain := policy.Match{Ports: []packet.PortRange{{First: 53, Last: 53}}}
	tests := []struct {
		name      string
		match     policy.Match
		packet    []byte
		direction packet.Direction
		want      bool
	}{
		{"port of the server, outbound", domain, query.Packet(), packet.Outbound, true},
		{"port of the server, inbound", domain, answer.Packet(), packet.Inbound, true},
		{"port of the client", domain, answer.Packet(), packet.Outbound, false},
		{"later fragments show no port", domain, fragment.Packet(), packet.Outbound, false},
		{"ICMP has no port", domain, ping.Packet(), packet.Outbound, false},
		{"cut off before the ports", domain, query.Packet()[:23], packet.Outbound, false},
		{"header length that cannot be", domain, append([]byte{0x44}, query.Packet()[1:]...), packet.Outbound, false},
		{"any port, ICMP", policy.Match{}, ping.Packet(), packet.Outbound, true},
		{"any port, fragment", policy.Match{}, fragment.Packet(), packet.Outbound, true},
		{"other direction", policy.Match{Direction: packet.Inbound}, ping.Packet(), packet.Outbound, false},
		{"IPv6", policy.Match{}, query6.Packet(), packet.Outbound, false},
		{"cut off", policy.Match{}, query.Packet()[:19], packet.Outbound, false},
		{"nothing", policy.Match{}, nil, packet.Outbound, false},
	}
	for _, tt := range tests {
		rules, err := policy.Compile(nil, []policy.DFRule{{Match: tt.match, Policy: packet.SetDF}}, policy.Options{})
		if err != nil {
			t.Fatal(err)
		}
		before := slices.Clone(tt.packet)
		rewrite, _ := rules.RewriteDF(parsed(tt.packet, tt.direction))
		if got := rewrite.Rule == 1; got != tt.want || slices.Equal(before, tt.packet) == tt.want {
			t.Errorf("%s: rewrite %+v of % x to % x, want one: %t", tt.name, rewrite, before, tt.packet, tt.want)
		}
	}
}

// The identifications drawn by default are neither zero nor always the same.
func TestRandomID(t *testing.T) {
	t.Parallel()
	rules, err := policy.Compile(nil, []policy.DFRule{{Policy: packet.ClearDF}}, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[uint16]bool)
	for range 100 {
		b := tuntest.ICMP{Src: client4, Dst: server4, Type: 8, IP: tuntest.IP{DF: true}}.Packet()
		rules.RewriteDF(parsed(b, packet.Outbound))
		if err := tuntest.VerifyChecksums(b); err != nil {
			t.Fatal(err)
		}
		seen[uint16(b[4])<<8|uint16(b[5])] = true
	}
	if seen[0] || len(seen) < 50 {
		t.Errorf("%d different identifications in 100 packets, 0 among them: %t", len(seen), seen[0])
	}
	zero, err := policy.Compile(nil, []policy.DFRule{{Policy: packet.ClearDF}}, policy.Options{RandomID: func() uint16 { return 0 }})
	if err != nil {
		t.Fatal(err)
	}
	b := tuntest.ICMP{Src: client4, Dst: server4, Type: 8, IP: tuntest.IP{DF: true}}.Packet()
	if zero.RewriteDF(parsed(b, packet.Outbound)); b[4] == 0 && b[5] == 0 {
		t.Error("a zero identification was replaced by zero")
	}
}

func TestUpstreamDF(t *testing.T) {
	t.Parallel()
	rules, err := policy.Compile(nil, []policy.DFRule{
		{Match: policy.Match{Ports: []packet.PortRange{{First: 1, Last: 79}}, Direction: packet.Inbound}, Policy: packet.SetDF},
		{Match: policy.Match{Ports: []packet.PortRange{{First: 53, Last: 53}}}, Policy: packet.EnforceDF},
		{Match: policy.Match{Src: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}, Policy: packet.ClearDF},
	}, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		client, server string
		want           packet.DF
	}{
		{"192.0.2.1:1024", "198.51.100.2:53", packet.EnforceDF},
		{"192.0.2.1:1024", "198.51.100.2:54", packet.ClearDF}, // the first rule is for packets to the client
		{"192.0.2.1:1024", "198.51.100.2:0", packet.ClearDF},
		{"198.51.100.1:1024", "198.51.100.2:80", packet.PreserveDF},
		{"[2001:db8::1]:1024", "[2001:db8::2]:53", packet.PreserveDF},
	}
	for _, tt := range tests {
		if got := rules.UpstreamDF(netip.MustParseAddrPort(tt.client), netip.MustParseAddrPort(tt.server)); got != tt.want {
			t.Errorf("UpstreamDF(%s, %s) = %d, want %d", tt.client, tt.server, got, tt.want)
		}
	}
}
