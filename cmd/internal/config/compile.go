package config

import (
	"fmt"
	"net/netip"
	"slices"

	"syntap/stack/egress"
	"syntap/tap/policy"
	"syntap/tun/packet"
)

// CompileRules compiles the mss and df rules. With tap.findings: apply, findings hold for packets
// that no mss rule matches. learned returns the MSS that is found to pass between a client and a
// server; nil = none is.
func (c *Config) CompileRules(learned func(client, server netip.Addr) packet.MSS) (*policy.Rules, error) {
	mss, df := c.rules()
	if c.Tap.Findings == Apply {
		found := policy.MSSRule{Match: policy.Match{Direction: packet.Both}, Clamp: policy.ClampAuto}
		mss = append(mss, found)
	}
	return policy.Compile(mss, df, policy.Options{MTU: packet.MTU(c.TUN.MTU), Learned: learned})
}

// DescribeRules describes for people each rule, one a line.
func (c *Config) DescribeRules() (lines []string) {
	for i := range c.Egress.Rules {
		rule := c.Egress.Rules[i].Rule("")
		lines = append(lines, c.Egress.Place(i)+": "+rule.String())
	}
	if len(c.Egress.Rules) > 0 || c.Egress.Default == Deny {
		lines = append(lines, fmt.Sprintf("egress.default: %s everything else", c.Egress.Default))
	}
	for i, r := range c.MSS {
		lines = append(lines, fmt.Sprintf("mss rule %d: %s", i+1, r))
	}
	for i, r := range c.DF {
		lines = append(lines, fmt.Sprintf("df rule %d: %s", i+1, r))
	}
	return lines
}

// Warnings lists the keys that have other names now, and the rules that never apply because an
// earlier one shadows them. rules and leaving are the config's own, compiled.
func (c *Config) Warnings(rules *policy.Rules, leaving *egress.Rules) []string {
	warnings := slices.Clone(c.Outdated)
	warn := func(kind string, s policy.Shadowed, line, byLine int) {
		warnings = append(warnings, fmt.Sprintf(
			"%s rule %d in line %d is shadowed by rule %d in line %d: it never applies",
			kind, s.Rule, line, s.By, byLine))
	}
	if leaving != nil {
		for _, h := range leaving.Shadowed() {
			warnings = append(warnings, fmt.Sprintf("%s%s is shadowed by %s%s: it never applies",
				c.Egress.Place(h.Rule), inLine(c.Egress.Rules[h.Rule].Line),
				c.Egress.Place(h.By), inLine(c.Egress.Rules[h.By].Line)))
		}
	}
	for _, s := range rules.ShadowedMSS() {
		if s.Rule > len(c.MSS) { // that of tap.findings
			warnings = append(warnings, fmt.Sprintf("tap.findings: apply has no effect: mss rule %d in line %d matches all",
				s.By, c.MSS[s.By-1].Line))
			continue
		}
		warn("mss", s, c.MSS[s.Rule-1].Line, c.MSS[s.By-1].Line)
	}
	for _, s := range rules.ShadowedDF() {
		warn("df", s, c.DF[s.Rule-1].Line, c.DF[s.By-1].Line)
	}
	return warnings
}

// inLine says the line of a rule; a flag has none.
func inLine(line int) string {
	if line == 0 {
		return ""
	}
	return fmt.Sprintf(" in line %d", line)
}
