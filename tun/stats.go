package tun

import "sync/atomic"

// Stats counts what a Device has moved and dropped. All counters only grow.
type Stats struct {
	OutboundFrames, OutboundBytes atomic.Uint64
	InboundFrames, InboundBytes   atomic.Uint64
	Malformed                     atomic.Uint64 // outbound frames with contradictory lengths: dropped
	WriteErrors                   atomic.Uint64 // inbound frames the kernel refused: dropped
}
