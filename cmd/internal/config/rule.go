package config

import (
	"fmt"
	"strconv"

	"syntap/tap/policy"
	"syntap/tun/packet"
)

// MSSRule is an mss rule of a config.
type MSSRule struct {
	policy.MSSRule `yaml:",inline"`
	Unsafe         bool `yaml:"unsafe,omitempty"` // the clamp may be below MinMSS
	Line           int  `yaml:"-"`                // of the file; 0: the rule stands in none
}

// DFRule is a df rule of a config.
type DFRule struct {
	policy.DFRule `yaml:",inline"`
	Line          int `yaml:"-"` // of the file; 0: the rule stands in none
}

// NewMSSRule returns the rule for all segments that clamps as a config would with "clamp: value".
func NewMSSRule(value string) (MSSRule, error) {
	clamp, err := parseClamp(value)
	if err == nil && clamp > policy.ClampOff && clamp < MinMSS {
		err = remedy("a config can say \"unsafe: true\" and use it all the same", "%w", belowMinMSS(clamp))
	}
	r := MSSRule{MSSRule: policy.MSSRule{Clamp: clamp}}
	setDefaults(&r.Match)
	return r, err
}

func belowMinMSS(c policy.Clamp) error {
	return fmt.Errorf("%d is below %d, which every IPv4 host takes: more packets for nothing (RFC 9293 §3.7.1)", c, MinMSS)
}

// NewDFRule returns the rule for all packets with the policy that a config names like this.
func NewDFRule(word string) (DFRule, error) {
	df, err := parseDF(word)
	r := DFRule{DFRule: policy.DFRule{Policy: df}}
	setDefaults(&r.Match)
	return r, err
}

func parseDF(s string) (packet.DF, error) {
	return oneOf(packet.PreserveDF, packet.SetDF, packet.ClearDF, packet.EnforceDF)(s)
}

// rules returns the mss and df rules as [policy.Compile] takes them.
func (c *Config) rules() (mss []policy.MSSRule, df []policy.DFRule) {
	for _, r := range c.MSS {
		mss = append(mss, r.MSSRule)
	}
	for _, r := range c.DF {
		df = append(df, r.DFRule)
	}
	return mss, df
}

// Bounds of a clamp in bytes.
const (
	// MinMSS is the MSS that every IPv4 host takes without being asked (RFC 9293 §3.7.1).
	MinMSS = 536
	// MinUnsafeMSS is the least that Linux accepts as TCP_MAXSEG (TCP_MIN_MSS).
	MinUnsafeMSS = 88
	// MaxMSS fits the longest IPv4 packet: 65535 - 40.
	MaxMSS = 65495
)

func parseClamp(s string) (policy.Clamp, error) {
	switch s {
	case policy.ClampOff.String():
		return policy.ClampOff, nil
	case policy.ClampPMTU.String():
		return policy.ClampPMTU, nil
	case policy.ClampAuto.String():
		return policy.ClampAuto, nil
	}
	n, err := strconv.Atoi(s)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%s is none of off, pmtu, auto and a number of bytes", quote(s))
	case n < MinUnsafeMSS:
		return 0, fmt.Errorf("%d is below %d, the least that Linux lets a socket use", n, MinUnsafeMSS)
	case n > MaxMSS:
		return 0, fmt.Errorf("%d is above %d, the most that fits an IPv4 packet", n, MaxMSS)
	}
	return policy.Clamp(n), nil
}
