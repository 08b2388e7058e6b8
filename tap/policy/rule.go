package policy

import (
	"net/netip"

	"syntap/tun/packet"
)

// Match says which packets a rule is for. A zero field matches everything.
type Match struct {
	Src       []netip.Prefix // of the client
	Dst       []netip.Prefix // of the server
	Ports     []PortRange    // of the server; a packet that shows no port matches none
	Direction packet.Direction
	Family    int // 4 or 6
}

// PortRange is a range of ports, both ends included.
type PortRange struct{ First, Last uint16 }

// MSSRule is one rule for the MSS option of SYN and SYN-ACK.
type MSSRule struct {
	Match
	Clamp         Clamp
	Add           bool // add a missing option
	DropMalformed bool // drop a segment whose option list cannot be read, instead of passing it
}

// Clamp is the upper bound that a rule sets on the MSS: ClampOff, ClampPMTU or a number of bytes,
// which is the same for IPv4 and IPv6.
type Clamp int

// The values of [Clamp] that are no number.
const (
	ClampOff  Clamp = 0  // the option stays as it is
	ClampPMTU Clamp = -1 // what the path MTU allows
)

// DFRule is one rule for the don't-fragment bit of IPv4.
type DFRule struct {
	Match
	Policy DFPolicy
}

// DFPolicy is what a rule does to the don't-fragment bit.
type DFPolicy uint8

// The values of [DFPolicy].
const (
	PreserveDF DFPolicy = iota // leave it alone
	SetDF                      // set it
	ClearDF                    // clear it
	EnforceDF                  // set it, and refuse fragments of the client
)
