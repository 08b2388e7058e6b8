package stack

import "sync/atomic"

// Stats counts what the stack did. Counters only grow; gauges say so.
type Stats struct {
	TCPFlows atomic.Int64 // gauge: attempts and connections
	HalfOpen atomic.Int64 // gauge: attempts whose client has not been answered or has not acknowledged
	UDPFlows atomic.Int64 // gauge: client endpoints

	LocalFailures atomic.Uint64             // tries to dial that failed on this host
	Dials         [Silent + 1]atomic.Uint64 // ended dials by Answer

	// Dropped outbound frames, by reason.
	DropChecksum  atomic.Uint64 // wrong transport checksum
	DropMalformed atomic.Uint64 // not a packet we can carry
	DropTCPFlows  atomic.Uint64 // SYN beyond TCPFlows
	DropHalfOpen  atomic.Uint64 // SYN beyond HalfOpen or HalfOpenPerSource
	DropUDPFlows  atomic.Uint64 // datagram beyond UDPFlows
	DropUDPSend   atomic.Uint64 // datagram the host did not take

	InboundErrors atomic.Uint64 // inbound frames the link did not take
}
