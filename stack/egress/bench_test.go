package egress

import (
	"fmt"
	"net/netip"
	"testing"
)

// BenchmarkDecide decides among 16,665 rules of five kinds, with requests that the last of a kind,
// or none, matches.
func BenchmarkDecide(b *testing.B) {
	const each = 3333
	var rules []Rule
	for i := range each {
		rules = append(rules,
			Rule{Names: []Pattern{{fmt.Sprintf("host%d.example.com", i), false}}, Ports: []PortRange{{443, 443}}},
			Rule{Names: []Pattern{{fmt.Sprintf("domain%d.example.net", i), true}}, Deny: i%2 == 0},
			Rule{Dst: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24)}})
	}
	one := Pattern{"one.example.org", false}
	for i := range each {
		rules = append(rules, Rule{Names: []Pattern{one}, Ports: []PortRange{{uint16(i + 1), uint16(i + 1)}}},
			Rule{Ports: []PortRange{{uint16(i + 10000), uint16(i + 10000)}}})
	}
	r := Compile(rules, true)
	server := netip.MustParseAddrPort("198.51.100.1:443")
	for name, q := range map[string]*Request{
		"name":     {Name: fmt.Sprintf("host%d.example.com", each-1), Server: server},
		"wildcard": {Name: fmt.Sprintf("a.b.domain%d.example.net", each-1), Server: server},
		"address":  {Server: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, (each - 1) >> 8, (each - 1) & 0xff, 1}), 443)},
		"port":     {Name: one.name, Server: netip.AddrPortFrom(server.Addr(), each)},
		"none":     {Name: "www.host.example.org", Server: netip.MustParseAddrPort("[2001:db8::1]:443")},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				r.Decide(q)
			}
		})
	}
}

// BenchmarkCompile compiles 10,000 rules with a name each.
func BenchmarkCompile(b *testing.B) {
	var rules []Rule
	for i := range 10000 {
		rules = append(rules, Rule{
			Names: []Pattern{{fmt.Sprintf("host%d.example.com", i), i%2 == 0}}, Ports: []PortRange{{443, 443}},
			Place: fmt.Sprintf("egress.rules[%d]", i),
		})
	}
	b.ReportAllocs()
	for b.Loop() {
		Compile(rules, true)
	}
}
