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

func (s *Stats) add(o *Stats) {
	s.OutboundFrames.Add(o.OutboundFrames.Load())
	s.OutboundBytes.Add(o.OutboundBytes.Load())
	s.InboundFrames.Add(o.InboundFrames.Load())
	s.InboundBytes.Add(o.InboundBytes.Load())
	s.Malformed.Add(o.Malformed.Load())
	s.WriteErrors.Add(o.WriteErrors.Load())
}
