package stack

import "sync/atomic"

// Stats counts what the stack did. Counters only grow; gauges say so.
type Stats struct {
	TCPFlows  atomic.Int64 // gauge: attempts and connections
	HalfOpen  atomic.Int64 // gauge: attempts whose client has not been answered or has not acknowledged
	UDPFlows  atomic.Int64 // gauge: client endpoints
	EchoFlows atomic.Int64 // gauge: clients' echo identifiers

	LocalFailures atomic.Uint64             // tries to dial that failed on this host
	Dials         [Silent + 1]atomic.Uint64 // ended dials by Answer

	// Dropped outbound frames, by reason.
	DropChecksum  atomic.Uint64 // wrong transport checksum
	DropMalformed atomic.Uint64 // not a packet we can carry
	DropTCPFlows  atomic.Uint64 // SYN beyond TCPFlows
	DropHalfOpen  atomic.Uint64 // SYN beyond HalfOpen or HalfOpenPerSource
	DropUDPFlows  atomic.Uint64 // datagram or echo request beyond UDPFlows
	DropUDPSend   atomic.Uint64 // datagram, super-frame or echo request the host did not take
	DropDenied    atomic.Uint64 // datagram or echo request that policy forbids
	DropLinkScope atomic.Uint64 // datagram or echo request that does not leave its link, such as multicast
	DropICMP      atomic.Uint64 // ICMP other than echo requests

	EvictedFlows atomic.Uint64 // client endpoints and echo identifiers that made room for others

	InboundErrors atomic.Uint64 // inbound frames the link did not take, or that do not fit the client's address family
}
