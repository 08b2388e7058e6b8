//go:build linux

package nat

import (
	"net/netip"
	"time"

	"syntap/stack/egress"
	"syntap/stack/inspect"
	"syntap/stack/nat/flows"
	"syntap/stack/nat/gso"
	"syntap/stack/nat/mappings"
	tunflow "syntap/tun/flow"
)

// identity describes the flow to which a frame of a client belongs.
type identity struct {
	client mappings.Endpoint
	key    flows.Key
	query  *tunflow.DNS // that the frame holds; nil for none

	ruling   *egress.Ruling    // of the rules; nil = there are none
	decision *tunflow.Decision // of policy
	now      time.Duration     // when the frame came, on the table's clock
	checked  bool              // ClientHellos in the frame have been looked at (flows/hello.go)
	unsent   *tunflow.Datagram // by which its flow is on record, although it does not leave
}

// identify finds the flow to which a frame of a client to server belongs.
func (n *NAT) identify(f *gso.Frame, client mappings.Endpoint, server netip.AddrPort) identity {
	id := identity{client: client, key: flows.Key{Server: server}, now: n.table.Now()}
	if !n.asksNames() || client.Echo || server.Port() != inspect.PortDNS {
		return id
	}
	if d := n.readQuery(f); d != nil {
		id.query = d
		id.key = flows.Key{Server: server, Query: true, ID: d.ID, Question: d.Queries[0]}
	}
	return id
}

// newDatagram returns the opening of the flow that a frame begins.
func newDatagram(f *gso.Frame, id *identity) *tunflow.Datagram {
	d := &tunflow.Datagram{
		Proto: tunflow.UDP, Client: id.client.AddrPort, Server: id.key.Server, Time: time.Now(),
		Length: f.Segment(), DNS: id.query,
		Decision: id.decision,
	}
	if id.client.Echo {
		d.Proto = tunflow.ICMP
	}
	return d
}
