package tap

import (
	"net/netip"
	"time"

	"syntap/tap/policy"
	"syntap/tun/flow"
)

// Options configure a Tap or a Tracker. The zero value is useful: nobody listens, the limits are
// the defaults.
type Options struct {
	// OnRecord receives each attempt when its verdict has fallen. The record is the receiver's. If
	// nil, records are only counted.
	OnRecord func(*Record)
	// OnSegment receives each segment of an opening as it passes, before the record that holds it
	// too. If nil, it is not called.
	//
	// Both functions are called with no lock held, the calls about one attempt one after the other
	// and in the order of its segments. They run on the packet path and must not block.
	OnSegment func(flow.Key, Segment)

	// Timeout ends an attempt as half_open this long after its first SYN-ACK; 0 means 5 s. Live
	// only.
	Timeout time.Duration
	// DialTimeout is how long the router tries to reach a destination; 0 means 10 s. Live only.
	DialTimeout time.Duration

	// HalfOpen is the largest number of attempts without a verdict in a capture; 0 means 131072.
	HalfOpen int
	// TCPFlows is the largest number of attempts and established flows together; 0 means 16384. In
	// a capture it is that of established flows remembered until they close.
	TCPFlows int
	// TCPFlowsPerSource is the largest share of one client address that is not local, and half of
	// that of a /64 of IPv6; 0 means a quarter of TCPFlows. All local ones together have all but an
	// eighth of TCPFlows. Live only.
	TCPFlowsPerSource int
	// Local reports whether a client is on this host. If nil, none is. Live only.
	Local func(netip.Addr) bool

	// Rules change what passes; nil = nothing is changed. Tap.SetRules replaces them.
	Rules *policy.Rules
	// PathMTU returns the MTU of the path to the server of a flow, 0 where it is unknown. It is
	// asked for a SYN or SYN-ACK whose rule depends on it, with the locks held that WriteFrame was
	// called with, and must not block. If nil, no path MTU is known.
	PathMTU func(client, server netip.AddrPort) int

	// Admission says whether a SYN may begin an attempt. If nil, any may. It is called from the
	// packet path and must not block. Live only.
	Admission func(at time.Time) flow.Admission
	// Sources reports whether a client may have the address. If nil, any may. Live only.
	Sources func(netip.Addr) bool
	// Now is the clock; nil means time.Now. Live only.
	Now func() time.Time
}

func setDefault[T int | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}
