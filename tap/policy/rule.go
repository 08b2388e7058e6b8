package policy

import (
	"net/netip"
	"strconv"

	"syntap/tun/packet"
)

// Rules are written as the keys and words of a config: the yaml tags name the keys.

// Match says which packets a rule is for. A zero field matches everything.
type Match struct {
	Src       []netip.Prefix     `yaml:"src,omitempty"`   // of the client
	Dst       []netip.Prefix     `yaml:"dst,omitempty"`   // of the server
	Ports     []packet.PortRange `yaml:"ports,omitempty"` // of the server; a packet without ports matches none
	Direction packet.Direction   `yaml:"direction"`
	Family    int                `yaml:"family,omitempty"` // 4 or 6
}

// MSSRule is one rule for the MSS option of SYN and SYN-ACK.
type MSSRule struct {
	Match     `yaml:",inline"`
	Clamp     Clamp   `yaml:"clamp"`
	Add       bool    `yaml:"add,omitempty"` // add a missing option
	Malformed Verdict `yaml:"malformed"`     // Pass or Drop a segment with options that cannot be read
}

// Clamp is the upper bound that a rule sets on the MSS: ClampOff, ClampPMTU, ClampAuto or a number
// of bytes, which is the same for IPv4 and IPv6.
type Clamp int

// The values of [Clamp] that are not numbers.
const (
	ClampOff  Clamp = 0  // the option stays as it is
	ClampPMTU Clamp = -1 // as the path MTU allows
	ClampAuto Clamp = -2 // the largest found to pass to the server
)

// String returns the clamp as it is written in a config.
func (c Clamp) String() string {
	switch c {
	case ClampOff:
		return "off"
	case ClampPMTU:
		return "pmtu"
	case ClampAuto:
		return "auto"
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

// DFRule is one rule for the don't-fragment bit of IPv4.
type DFRule struct {
	Match  `yaml:",inline"`
	Policy packet.DF `yaml:"policy"`
}
