package nat

import (
	"sync/atomic"

	"syntap/stack/nat/mappings"
)

// Stats has the counters of a NAT, which only grow, and its gauges, which are marked as such.
type Stats struct {
	mappings.Stats
	Memory atomic.Int64 // gauge: bytes that mappings are charged for
	Flows  atomic.Int64 // gauge: recorded flows that have not ended

	// Unsolicited counts datagrams that reached a client from a far end without a flow, while flows
	// are recorded.
	Unsolicited atomic.Uint64

	// Dropped outbound frames, by reason, besides those of mappings.Stats.
	DropMalformed atomic.Uint64 // not a datagram or message that can be carried
	DropLinkScope atomic.Uint64 // of an address that does not leave its link, such as multicast
	DropSource    atomic.Uint64 // of an address that may not send
	DropDenied    atomic.Uint64 // to a destination that policy forbids
	DropICMP      atomic.Uint64 // ICMP other than echo requests
	DropOwnSocket atomic.Uint64 // of one of our own host sockets
	DropSend      atomic.Uint64 // the host did not send it

	DropWaiting    atomic.Uint64 // would begin a flow while Options.Opened says Wait
	DropRefused    atomic.Uint64 // the same with Refuse
	DropUnrecorded atomic.Uint64 // its flow was not recorded in time, or there was no room to hold it

	// Dropped on their way to a client, by reason.
	DropInbound      atomic.Uint64 // the link did not take it, or the client's family does not
	DropReceiveQueue atomic.Uint64 // came faster than the host socket's buffer could take
	DropUninvited    atomic.Uint64 // sent, unasked, by this host or a far end that policy forbids
}

// Drops returns the numbers of dropped outbound frames, by the labels of syntap_drops_total.
func (s *Stats) Drops() map[string]uint64 {
	return map[string]uint64{
		"malformed":            s.DropMalformed.Load(),
		"link_scope":           s.DropLinkScope.Load(),
		"source":               s.DropSource.Load(),
		"denied":               s.DropDenied.Load(),
		"icmp":                 s.DropICMP.Load(),
		"own_socket":           s.DropOwnSocket.Load(),
		"udp_flows":            s.DropMappings.Load(),
		"udp_flows_per_source": s.DropPerSource.Load(),
		"udp_send":             s.DropSend.Load(),
		"waiting":              s.DropWaiting.Load(),
		"refused":              s.DropRefused.Load(),
		"unrecorded":           s.DropUnrecorded.Load(),
	}
}

// InboundDrops returns the numbers of datagrams and echo replies that did not reach their client,
// by the same labels.
func (s *Stats) InboundDrops() map[string]uint64 {
	return map[string]uint64{
		"inbound":       s.DropInbound.Load(),
		"receive_queue": s.DropReceiveQueue.Load(),
		"uninvited":     s.DropUninvited.Load(),
	}
}
