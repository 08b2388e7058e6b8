package app

import (
	"fmt"
	"slices"

	"syntap/cmd/internal/config"
	"syntap/tap/policy"
	"syntap/tun/packet"
)

// Rules compiles the mss and df rules of a config.
func Rules(c *config.Config) (*policy.Rules, error) {
	mss, df := translateRules(c)
	return policy.Compile(mss, df, policy.Options{MTU: c.TUN.MTU})
}

// DescribeRules says for people what each rule of a config does, one a line.
func DescribeRules(c *config.Config) (lines []string) {
	mss, df := translateRules(c)
	for i, r := range mss {
		lines = append(lines, fmt.Sprintf("mss rule %d: %s", i+1, r))
	}
	for i, r := range df {
		lines = append(lines, fmt.Sprintf("df rule %d: %s", i+1, r))
	}
	return lines
}

// Warnings says for people which keys of a config have other names now, and which of its rules never
// apply because an earlier one matches all that they do.
func Warnings(c *config.Config, rules *policy.Rules) []string {
	warnings := slices.Clone(c.Outdated)
	warn := func(kind string, hidden policy.Hidden, line, byLine int) {
		warnings = append(warnings, fmt.Sprintf("%s rule %d in line %d never applies: rule %d in line %d matches all that it does",
			kind, hidden.Rule, line, hidden.By, byLine))
	}
	for _, h := range rules.HiddenMSS() {
		warn("mss", h, c.MSS[h.Rule-1].Line, c.MSS[h.By-1].Line)
	}
	for _, h := range rules.HiddenDF() {
		warn("df", h, c.DF[h.Rule-1].Line, c.DF[h.By-1].Line)
	}
	return warnings
}

func translateRules(c *config.Config) (mss []policy.MSSRule, df []policy.DFRule) {
	for _, r := range c.MSS {
		mss = append(mss, policy.MSSRule{
			Match: match(r.Match), Clamp: policy.Clamp(r.Clamp), Add: r.Add, DropMalformed: r.Malformed == config.Drop,
		})
	}
	for _, r := range c.DF {
		df = append(df, policy.DFRule{Match: match(r.Match), Policy: dfPolicy(r.Policy)})
	}
	return mss, df
}

func match(m config.Match) policy.Match {
	p := policy.Match{Src: m.Src, Dst: m.Dst, Family: m.Family}
	switch m.Direction {
	case config.Outbound:
		p.Direction = packet.Outbound
	case config.Inbound:
		p.Direction = packet.Inbound
	case config.Both:
		p.Direction = packet.Both
	}
	for _, r := range m.Ports {
		p.Ports = append(p.Ports, policy.PortRange{First: uint16(r.First), Last: uint16(r.Last)})
	}
	return p
}

func dfPolicy(p config.DFPolicy) policy.DFPolicy {
	switch p {
	case config.Set:
		return policy.SetDF
	case config.Clear:
		return policy.ClearDF
	case config.Enforce:
		return policy.EnforceDF
	default:
		return policy.PreserveDF
	}
}
