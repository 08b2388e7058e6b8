package egress

import (
	"fmt"
	"net/netip"
	"testing"

	"syntap/tun/packet"
)

// manyRules returns 16,665 rules of five kinds, and requests that the last of a kind, or none,
// matches.
func manyRules() (*Rules, map[string]*Request) {
	const each = 3333
	var rules []Rule
	for i := range each {
		rules = append(rules,
			Rule{Names: []Pattern{{fmt.Sprintf("host%d.example.com", i), false}}, Ports: []packet.PortRange{{First: 443, Last: 443}}},
			Rule{Names: []Pattern{{fmt.Sprintf("domain%d.example.net", i), true}}, Deny: i%2 == 0},
			Rule{Dst: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24)}})
	}
	one := Pattern{"one.example.org", false}
	for i := range each {
		rules = append(rules, Rule{Names: []Pattern{one}, Ports: []packet.PortRange{{First: uint16(i + 1), Last: uint16(i + 1)}}},
			Rule{Ports: []packet.PortRange{{First: uint16(i + 10000), Last: uint16(i + 10000)}}})
	}
	server := netip.MustParseAddrPort("198.51.100.1:443")
	last := netip.AddrFrom4([4]byte{10, (each - 1) >> 8, (each - 1) & 0xff, 1})
	return Compile(rules, true), map[string]*Request{
		"name":     {Name: fmt.Sprintf("host%d.example.com", each-1), Server: server},
		"wildcard": {Name: fmt.Sprintf("a.b.domain%d.example.net", each-1), Server: server},
		"address":  {Server: netip.AddrPortFrom(last, 443)},
		"port":     {Name: one.name, Server: netip.AddrPortFrom(server.Addr(), each)},
		"none":     {Name: "www.host.example.org", Server: netip.MustParseAddrPort("[2001:db8::1]:443")},
	}
}

// BenchmarkDecide decides among many rules.
func BenchmarkDecide(b *testing.B) {
	r, requests := manyRules()
	for name, q := range requests {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				r.Decide(q)
			}
		})
	}
}

// TestDecideLooksAtFew: of many rules a decision looks at few, and takes no memory.
func TestDecideLooksAtFew(t *testing.T) {
	r, requests := manyRules()
	for name, q := range requests {
		looked := 0
		matches := func(*Rule) bool { looked++; return false }
		s := search{rules: r, first: len(r.rules)}
		look := func(b *bucket) { s.in(b, q.Server.Port(), matches) }
		look(&r.others)
		look(r.at(q.Server.Addr()))
		r.named(q.Name, look)
		if looked > fewRules {
			t.Errorf("%s: it looks at %d rules, at most %d are to be", name, looked, fewRules)
		}
		if n := testing.AllocsPerRun(100, func() { r.Decide(q) }); n > 0 {
			t.Errorf("%s: %g allocations", name, n)
		}
	}
}

// TestPlainNames: names that need no mapping are the same with it.
func TestPlainNames(t *testing.T) {
	t.Parallel()
	const bytes = "abzAZ059_..-é"
	for n := range 10_000 {
		var name []rune
		for ; n > 0; n /= len([]rune(bytes)) {
			name = append(name, []rune(bytes)[n%len([]rune(bytes))])
		}
		if s := string(name); isPlain(s) {
			mapped, err := unicode.ToASCII(s)
			if got, _ := toASCII(s); err != nil || got != mapped {
				t.Fatalf("%q: %q without mapping, %q with it, %v", s, got, mapped, err)
			}
		}
	}
}

// BenchmarkCompile compiles 10,000 rules with a name each.
func BenchmarkCompile(b *testing.B) {
	var rules []Rule
	for i := range 10000 {
		rules = append(rules, Rule{
			Names: []Pattern{{fmt.Sprintf("host%d.example.com", i), i%2 == 0}}, Ports: []packet.PortRange{{First: 443, Last: 443}},
			Place: fmt.Sprintf("egress.rules[%d]", i),
		})
	}
	b.ReportAllocs()
	for b.Loop() {
		Compile(rules, true)
	}
}
