package tun

import "sync/atomic"

// Stats counts the frames that a Device has moved, and those of Malformed and WriteErrors, which it
// has dropped. All counters only grow.
type Stats struct {
	OutboundFrames, OutboundBytes atomic.Uint64
	InboundFrames, InboundBytes   atomic.Uint64
	Malformed                     atomic.Uint64 // outbound frames with contradictory lengths
	WriteErrors                   atomic.Uint64 // inbound frames that the kernel refused
}
