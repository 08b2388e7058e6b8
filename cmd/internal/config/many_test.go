package config

import (
	"fmt"
	"strings"
	"testing"
)

// manyRules returns a policy with n rules, each with a name of its own.
func manyRules(n int) []byte {
	var b strings.Builder
	b.WriteString("egress:\n  default: deny\n  rules:\n")
	for i := range n {
		fmt.Fprintf(&b, "    - {name: n%d.example.org, ports: 443, proto: tcp, verdict: allow}\n", i)
	}
	return []byte(b.String())
}

// compile has a policy ready for exec.
func compile(t testing.TB, data []byte) {
	t.Helper()
	e, err := ParsePolicy("policy.yaml", data)
	if err != nil {
		t.Fatal(err)
	}
	e.Compile()
}

// TestManyRules: a rule costs a few allocations at the start, however many there are.
func TestManyRules(t *testing.T) {
	allocations := func(rules int) float64 {
		data := manyRules(rules)
		return testing.AllocsPerRun(1, func() { compile(t, data) })
	}
	const few, many, most = 100, 500, 40
	each := (allocations(many) - allocations(few)) / (many - few)
	t.Logf("%.1f allocations a rule", each)
	if each > most {
		t.Errorf("%.1f allocations a rule, want at most %d", each, most)
	}
}

// BenchmarkManyRules reads and compiles a policy of 10,000 rules.
func BenchmarkManyRules(b *testing.B) {
	data := manyRules(10000)
	b.ReportAllocs()
	for b.Loop() {
		compile(b, data)
	}
}
