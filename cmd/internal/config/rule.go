package config

import (
	"fmt"
	"net/netip"
	"strconv"
)

// Match says which segments a rule is for. A zero field matches everything.
type Match struct {
	Src       []netip.Prefix `yaml:"src,omitempty"`   // of the client
	Dst       []netip.Prefix `yaml:"dst,omitempty"`   // of the server
	Ports     []Range        `yaml:"ports,omitempty"` // of the server
	Direction Direction      `yaml:"direction"`
	Family    int            `yaml:"family,omitempty"` // 4 or 6
	Line      int            `yaml:"-"`                // of the file; 0 = the rule stands in none
}

// Direction is the way a segment goes, seen from the client.
type Direction string

// The values of [Direction].
const (
	Outbound Direction = "outbound" // client to world
	Inbound  Direction = "inbound"  // world to client
	Both     Direction = "both"
)

// MSSRule is one rule for the MSS option of SYN and SYN-ACK.
type MSSRule struct {
	Match     `yaml:",inline"`
	Clamp     Clamp     `yaml:"clamp"`
	Add       bool      `yaml:"add,omitempty"` // add a missing option
	Malformed Malformed `yaml:"malformed"`
	Unsafe    bool      `yaml:"unsafe,omitempty"` // the clamp may be below MinMSS
}

// NewMSSRule returns the rule for all segments that clamps as a config would with "clamp: value".
func NewMSSRule(value string) (MSSRule, error) {
	clamp, err := parseClamp(value)
	if err == nil && clamp > ClampOff && clamp < MinMSS {
		err = remedy("a config can say \"unsafe: true\" and use it all the same", "%w", belowMinMSS(clamp))
	}
	r := MSSRule{Clamp: clamp}
	r.setDefaults()
	return r, err
}

func belowMinMSS(c Clamp) error {
	return fmt.Errorf("%d is below %d, which every IPv4 host takes: more packets for nothing (RFC 9293 §3.7.1)", c, MinMSS)
}

// Malformed is the verdict on a segment whose TCP options cannot be parsed.
type Malformed string

// The values of [Malformed].
const (
	Pass Malformed = "pass"
	Drop Malformed = "drop"
)

// DFRule is one rule for the don't-fragment bit of IPv4.
type DFRule struct {
	Match  `yaml:",inline"`
	Policy DFPolicy `yaml:"policy"`
}

// NewDFRule returns the rule for all packets with the policy that a config names like this.
func NewDFRule(policy string) (DFRule, error) {
	p, err := parseDFPolicy(policy)
	r := DFRule{Policy: p}
	r.setDefaults()
	return r, err
}

// DFPolicy is a rule's treatment of the don't-fragment bit.
type DFPolicy string

// The values of [DFPolicy].
const (
	Preserve DFPolicy = "preserve"
	Set      DFPolicy = "set"
	Clear    DFPolicy = "clear"
	Enforce  DFPolicy = "enforce" // set, and fragments from the client are refused
)

func parseDFPolicy(s string) (DFPolicy, error) { return oneOf(Preserve, Set, Clear, Enforce)(s) }

// Bounds of a clamp in bytes.
const (
	// MinMSS is the segment size that every IPv4 host takes (RFC 9293 §3.7.1).
	MinMSS = 536
	// MinUnsafeMSS is the least that Linux accepts as TCP_MAXSEG (TCP_MIN_MSS).
	MinUnsafeMSS = 88
	// MaxMSS fits the longest IPv4 packet: 65535 - 40.
	MaxMSS = 65495
)

// Clamp is the upper bound a rule sets on the MSS: ClampOff, ClampPMTU or a number of bytes.
type Clamp int

// The values of [Clamp] that are no number.
const (
	ClampOff  Clamp = 0  // the option stays as it is
	ClampPMTU Clamp = -1 // as large as the path MTU allows
)

func parseClamp(s string) (Clamp, error) {
	switch s {
	case "off":
		return ClampOff, nil
	case "pmtu":
		return ClampPMTU, nil
	}
	n, err := strconv.Atoi(s)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%s is none of off, pmtu and a number of bytes", quote(s))
	case n < MinUnsafeMSS:
		return 0, fmt.Errorf("%d is below %d, the least that Linux lets a socket use", n, MinUnsafeMSS)
	case n > MaxMSS:
		return 0, fmt.Errorf("%d is above %d, the most that fits an IPv4 packet", n, MaxMSS)
	}
	return Clamp(n), nil
}

// String returns the clamp as it is written in a config.
func (c Clamp) String() string {
	switch c {
	case ClampOff:
		return "off"
	case ClampPMTU:
		return "pmtu"
	}
	return strconv.Itoa(int(c))
}

// MarshalYAML returns the clamp as it is written in a config.
func (c Clamp) MarshalYAML() (any, error) {
	if c > 0 {
		return int(c), nil
	}
	return c.String(), nil
}
