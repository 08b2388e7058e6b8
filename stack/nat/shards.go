//go:build linux

package nat

import (
	"syntap/stack/affinity"
	"syntap/stack/nat/mappings"
	tunflow "syntap/tun/flow"
)

// Shards are several NATs of one router, each with a read loop and a poller of its own. Each client
// endpoint has its mappings at one of them, its home, whichever reads its frames. They share the
// limits.
type Shards struct {
	number int    // of all
	all    []*NAT // constant once each has been made
	homes  *affinity.Table[mappings.Endpoint]
	// outside has the endpoints of all host sockets: the table of a sibling is not asked, since its
	// read loop has that locked much of the time.
	outside *affinity.Table[mappings.Endpoint]
	places  *mappings.Places
}

// NewShards returns the shared state of a number of NATs. Each joins when it is created
// (Options.Shards), before the first carries a frame.
func NewShards(number int) *Shards {
	return &Shards{
		number: number, homes: affinity.New[mappings.Endpoint](),
		outside: affinity.New[mappings.Endpoint](), places: mappings.NewPlaces(),
	}
}

// join adds a NAT and returns its number.
func (s *Shards) join(n *NAT) int {
	s.all = append(s.all, n)
	return len(s.all) - 1
}

// take returns the home of a client endpoint, and makes n the home if there is none. give must
// follow.
func (n *NAT) take(client mappings.Endpoint) *NAT {
	if n.shards == nil {
		return n
	}
	return n.shards.all[n.shards.homes.Take(client, n.shard)]
}

func (n *NAT) give(client mappings.Endpoint) {
	if n.shards != nil {
		n.shards.homes.Give(client)
	}
}

// recent is the client endpoint of the read loop's last frame, and its home, so that a client that
// sends much needs no lookup.
type recent struct {
	client mappings.Endpoint
	home   *NAT
}

// homeOf returns the home of a client endpoint. It is for the read loop.
func (n *NAT) homeOf(client mappings.Endpoint) *NAT {
	if n.shards == nil {
		return n
	}
	if n.recent.home == nil || n.recent.client != client {
		home := n.take(client)
		n.forgetRecent()
		n.recent = recent{client, home}
	}
	return n.recent.home
}

func (n *NAT) forgetRecent() {
	if n.recent.home != nil {
		n.give(n.recent.client)
	}
	n.recent = recent{}
}

// siblings returns all NATs of the router.
func (n *NAT) siblings() []*NAT {
	if n.shards == nil {
		return []*NAT{n}
	}
	return n.shards.all
}

// ownsSocket reports whether a packet comes from a socket of one of the NATs.
func (n *NAT) ownsSocket(client mappings.Endpoint) bool {
	if n.shards == nil {
		return n.table.Owns(client)
	}
	_, ours := n.shards.outside.Of(client)
	return ours
}

// keep makes a mapping that has its socket keep the home of its client, until letGo.
func (n *NAT) keep(m *mapping) {
	if n.shards != nil {
		m.kept = true
		n.shards.homes.Take(m.Client, n.shard)
		n.shards.outside.Take(m.Outside, n.shard)
	}
}

func (n *NAT) letGo(m *mapping) {
	if m.kept {
		m.kept = false
		n.shards.outside.Give(m.Outside)
		n.shards.homes.Give(m.Client)
	}
}

// atHome returns the NAT that has the flows of a datagram's client.
func (n *NAT) atHome(d *tunflow.Datagram) *NAT {
	if n.shards == nil {
		return n
	}
	client := mappings.Endpoint{AddrPort: d.Client, Echo: d.Proto == tunflow.ICMP}
	if i, ok := n.shards.homes.Of(client); ok {
		return n.shards.all[i]
	}
	return n
}
