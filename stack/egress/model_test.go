package egress

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"syntap/tun/flow"
	"syntap/tun/packet"
)

// naive decides as the package's documentation says, rule by rule.
func naive(rules []Rule, deny bool, q *Request) (rule int, denied, literal bool) {
	rule, denied = -1, deny
	for i, r := range rules {
		if !naiveMatch(&r, q) {
			continue
		}
		if rule < 0 {
			rule, denied = i, r.Deny
		}
		switch {
		case r.Deny:
			return rule, denied, false
		case len(r.Names) == 0 && len(r.Dst) > 0:
			return rule, denied, true
		}
	}
	return rule, denied, false
}

func naiveMatch(r *Rule, q *Request) bool {
	any := func(n int, f func(i int) bool) bool {
		for i := range n {
			if f(i) {
				return true
			}
		}
		return n == 0
	}
	return any(len(r.Names), func(i int) bool {
		return slices.ContainsFunc(append([]string{q.Name}, q.Others...), func(name string) bool {
			return naiveName(r.Names[i].String(), name)
		})
	}) && any(len(r.Dst), func(i int) bool {
		return r.Dst[i].Contains(q.Server.Addr()) || r.Dst[i].Contains(Embedded(q.Server.Addr()))
	}) && any(len(r.Ports), func(i int) bool {
		p := q.Server.Port()
		return q.Proto != flow.ICMP && r.Ports[i].First <= p && p <= r.Ports[i].Last
	}) && any(len(r.Protos), func(i int) bool {
		return r.Protos[i] == q.Proto
	}) && any(len(r.UIDs), func(i int) bool {
		return q.HasUID && r.UIDs[i].First <= q.UID && q.UID <= r.UIDs[i].Last
	})
}

// naiveName compares label by label, from the end.
func naiveName(pattern, name string) bool {
	if name == "" {
		return false
	}
	p, n := strings.Split(pattern, "."), strings.Split(name, ".")
	if p[0] == "*" {
		return len(n) >= len(p) && slices.Equal(p[1:], n[len(n)-len(p)+1:])
	}
	return slices.Equal(p, n)
}

var modelNames = []string{
	"example.com", "www.example.com", "a.www.example.com", "notexample.com", "example.net", "com", "www.example.net",
}

func pick[T any](r *rand.Rand, all []T) T { return all[r.IntN(len(all))] }

// some returns up to two of what f makes, often none.
func some[T any](r *rand.Rand, f func() T) (all []T) {
	for range max(0, r.IntN(4)-1) {
		all = append(all, f())
	}
	return all
}

func randomAddr(r *rand.Rand) netip.Addr {
	switch r.IntN(4) {
	case 0:
		return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 14: byte(r.IntN(2)), 15: byte(r.IntN(4))})
	case 1: // NAT64 of one of the following
		return netip.AddrFrom16([16]byte{0, 0x64, 0xff, 0x9b, 12: 10, 14: byte(r.IntN(2)), 15: byte(r.IntN(4))})
	case 2:
		return netip.AddrFrom4([4]byte{255, 255, 255, byte(252 + r.IntN(4))})
	}
	return netip.AddrFrom4([4]byte{10, 0, byte(r.IntN(2)), byte(r.IntN(4))})
}

func randomRule(r *rand.Rand, i int) Rule {
	return Rule{
		Names: some(r, func() Pattern {
			return Pattern{name: pick(r, modelNames), below: r.IntN(2) == 0}
		}),
		Dst: some(r, func() netip.Prefix {
			a := randomAddr(r)
			p, _ := a.Prefix(pick(r, []int{a.BitLen(), a.BitLen() - 1, a.BitLen() - 2, a.BitLen() - 8, 8, 0}))
			return p
		}),
		Ports: some(r, func() packet.PortRange {
			first := uint16(r.IntN(4))
			return packet.PortRange{First: first, Last: first + uint16(r.IntN(3))}
		}),
		Protos: some(r, func() flow.Proto { return flow.Proto(r.IntN(3)) }),
		UIDs: some(r, func() UIDRange {
			first := uint32(r.IntN(3))
			return UIDRange{first, first + uint32(r.IntN(2))}
		}),
		Deny:  r.IntN(2) == 0,
		Place: fmt.Sprint(i),
	}
}

func randomRequest(r *rand.Rand) *Request {
	q := &Request{
		Proto:  flow.Proto(r.IntN(3)),
		Server: netip.AddrPortFrom(randomAddr(r), uint16(r.IntN(5))),
		HasUID: r.IntN(3) > 0, UID: uint32(r.IntN(4)),
	}
	if r.IntN(3) > 0 {
		q.Name = pick(r, modelNames)
		q.Others = some(r, func() string { return pick(r, modelNames) })
	}
	return q
}

func TestDecideAsTheModel(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	decided := make(map[string]int)
	for range 2000 {
		var rules []Rule
		for i := range r.IntN(40) {
			rules = append(rules, randomRule(r, i))
		}
		deny := r.IntN(2) == 0
		compiled := Compile(rules, deny)
		hidden := make(map[string]bool)
		for _, h := range compiled.Shadowed() {
			hidden[fmt.Sprint(h.Rule)] = true
		}
		for range 50 {
			q := randomRequest(r)
			rule, denied, isLiteral := naive(rules, deny, q)
			got := compiled.Decide(q)
			want := fmt.Sprint(rule)
			if rule < 0 {
				want = "default"
			}
			if got.Rule != want || got.Deny != denied || got.Default != (rule < 0) || got.Literal != isLiteral {
				t.Fatalf("%v of %v: rule %s, deny %t, literal %t; want %s, %t, %t",
					q, rules, got.Rule, got.Deny, got.Literal, want, denied, isLiteral)
			}
			if hidden[got.Rule] {
				t.Fatalf("rule %s of %v is hidden, and decides on %v", got.Rule, rules, q)
			}
			decided[want]++
			if rule < 0 || denied || q.Name == "" {
				continue
			}
			// What may be connected to may be asked for, but for literal addresses.
			literal := len(rules[rule].Names) == 0 && len(rules[rule].Dst) > 0
			question := Question{Name: q.Name, HasUID: q.HasUID, UID: q.UID}
			if !literal && len(q.Others) == 0 && compiled.DecideName(question).Deny {
				t.Fatalf("%v of %v is allowed, and its name denied", q, rules)
			}
		}
	}
	for _, want := range []string{"default", "0", "3", "7"} {
		if decided[want] < 100 {
			t.Errorf("%s decided %d times: the test looks at too little", want, decided[want])
		}
	}
}
