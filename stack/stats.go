//go:build linux

package stack

import (
	"sync/atomic"

	"syntap/stack/nat"
	tunflow "syntap/tun/flow"
)

// Stats has the counters of a Stack, which only grow, and its gauges, which are marked as such.
type Stats struct {
	TCPFlows  atomic.Int64 // gauge: handshakes and connections
	HalfOpen  atomic.Int64 // gauge: handshakes that wait for the ACK of their client
	Datagrams nat.Stats    // of UDP and echoes

	LocalFailures Failures                       // of host sockets, on this host: open, connect, send
	Dials         [tunflow.Dropped]atomic.Uint64 // ended dials by Answer

	// Dropped outbound frames, by reason.
	DropChecksum          atomic.Uint64 // wrong transport checksum
	DropMalformed         atomic.Uint64 // not a packet that we can carry
	DropProtocol          atomic.Uint64 // neither TCP, UDP nor ICMP
	DropTCPFlows          atomic.Uint64 // SYN beyond TCPFlows
	DropMemory            atomic.Uint64 // SYN, datagram or echo request beyond Memory
	DropMemoryPerSource   atomic.Uint64 // the same beyond the share of its source
	DropHalfOpen          atomic.Uint64 // SYN beyond HalfOpen
	DropHalfOpenPerSource atomic.Uint64 // SYN beyond HalfOpenPerSource
	DropOwnSocket         atomic.Uint64 // SYN of one of our own host sockets
	DropStraySYN          atomic.Uint64 // SYN that netstack would take, without a dial
	DropUnmatched         atomic.Uint64 // ICMP error about the size of a packet that is not on its way to a client

	Unrecorded   atomic.Uint64 // connections reset because their handshake did not get on record
	ClientMTUs   atomic.Uint64 // path MTUs of clients that were learned from ICMP errors
	EvictedPaths atomic.Uint64 // clients whose path was forgotten for that of others

	// Dropped on their way to a client, by reason.
	InboundErrors atomic.Uint64 // frames that the link did not take
}

// InboundDrops returns the numbers of packets that did not reach their client by reason, in the
// same words as Drops.
func (s *Stats) InboundDrops() map[string]uint64 {
	all := s.Datagrams.InboundDrops()
	all["inbound"] += s.InboundErrors.Load()
	return all
}

// Drops returns the numbers of dropped outbound frames by reason, in the words of the metric
// syntap_drops_total.
func (s *Stats) Drops() map[string]uint64 {
	all := s.Datagrams.Drops()
	for reason, n := range map[string]uint64{
		"checksum":             s.DropChecksum.Load(),
		"malformed":            s.DropMalformed.Load(),
		"protocol":             s.DropProtocol.Load(),
		"tcp_flows":            s.DropTCPFlows.Load(),
		"memory":               s.DropMemory.Load(),
		"memory_per_source":    s.DropMemoryPerSource.Load(),
		"half_open":            s.DropHalfOpen.Load(),
		"half_open_per_source": s.DropHalfOpenPerSource.Load(),
		"own_socket":           s.DropOwnSocket.Load(),
		"stray_syn":            s.DropStraySYN.Load(),
		"icmp_unmatched":       s.DropUnmatched.Load(),
	} {
		all[reason] += n
	}
	return all
}

// Memory is the memory of all connections together, in bytes.
type Memory struct {
	Held     int64 // read back from netstack and the kernel
	Reserved int64 // charged for it, and for more that they may come to hold
	Limit    int64 // Options.Memory
}
