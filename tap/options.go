package tap

import (
	"net/netip"
	"time"

	"syntap/tap/handshake"
	"syntap/tap/policy"
	"syntap/tun/flow"
	"syntap/tun/packet"
)

// Options configure a Tap. The zero value is useful: it counts handshakes with default limits.
type Options struct {
	// OnRecord and OnSegment receive handshakes; see [tracker.Options].
	OnRecord  func(*handshake.Record)
	OnSegment func(flow.Key, handshake.Segment)

	// Timeout ends a handshake as half_open this long after its first SYN-ACK; 0 means 5 s.
	Timeout time.Duration
	// DialTimeout is how long the router tries to reach a destination; 0 means 10 s.
	DialTimeout time.Duration

	// TCPFlows is the largest number of handshakes and connections together; 0 means 16384.
	TCPFlows int
	// TCPFlowsPerSource is the largest number of one client address that is not local; 0 means a
	// quarter of TCPFlows. An IPv6 /64 may have twice as many, all local clients together all but
	// an eighth of TCPFlows.
	TCPFlowsPerSource int
	// MaxOpen is the largest number of handshakes without a verdict in a Replay; 0 means 131072, a
	// negative number no limit.
	MaxOpen int
	// Local reports whether a client is on this host. If nil, none is.
	Local func(netip.Addr) bool

	// Rules change packets; nil means no rules. Tap.SetRules replaces them.
	Rules *policy.Rules
	// PathMTU returns the MTU of the path to the server of a flow in bytes, 0 if it is unknown. It
	// is called for a SYN or SYN-ACK whose rule depends on it, with the locks held that WriteFrame
	// was called with, and must not block. If nil, no path MTU is known.
	PathMTU func(client, server netip.AddrPort) packet.MTU

	// Admission says whether a SYN may begin a handshake. If nil, any may. It is called from the
	// packet path and must not block.
	Admission func(at time.Time) flow.Admission
	// Sources reports whether a client may have the address. If nil, any may.
	Sources func(netip.Addr) bool
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}
