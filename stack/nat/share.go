//go:build linux

package nat

import (
	"container/list"
	"net/netip"
	"sync/atomic"
	"time"
)

// class says how long a mapping lives without a datagram.
type class uint8

const (
	unanswered class = iota
	answered
	nameLookup // used for DNS alone, with all answers: may end early (RFC 4787 §4.3)
	echoes
	classes
)

// evictable are the classes of mappings that make room for others. An answered one stays.
var evictable = [...]class{unanswered, nameLookup, echoes}

const (
	portDNS           = 53
	nameLookupTimeout = 10 * time.Second
)

// entry is a mapping in the table, whose lock guards it.
type entry struct {
	*mapping
	class  class
	used   time.Duration // the last time, on the table's clock
	places []place       // in each group that it belongs to

	questions int  // datagrams sent without an answer yet
	onlyNames bool // all were for portDNS
	answered  bool
}

type place struct {
	group   *group
	element *list.Element
}

// asks notes that a client is about to send datagrams to port.
func (e *entry) asks(port uint16, datagrams int) {
	e.onlyNames = e.onlyNames && port == portDNS
	e.questions += datagrams
}

// classNow returns the class of an entry by its use.
func (e *entry) classNow() class {
	switch {
	case e.key.client.echo:
		return echoes
	case !e.answered:
		return unanswered
	case e.onlyNames && e.questions == 0:
		return nameLookup
	}
	return answered
}

// enter puts an entry at the ends of the queues of its class.
func (e *entry) enter() {
	for i := range e.places {
		p := &e.places[i]
		p.group.size++
		p.element = p.group.queues[e.class].PushBack(e)
	}
}

// leave takes an entry out of its queues.
func (e *entry) leave() {
	for _, p := range e.places {
		p.group.size--
		p.group.queues[e.class].Remove(p.element)
	}
}

// stay moves an entry to the ends of its queues.
func (e *entry) stay() {
	for _, p := range e.places {
		p.group.queues[e.class].MoveToBack(p.element)
	}
}

// group is the entries that share a limit: all there are, or those of one source.
type group struct {
	source netip.Prefix // the zero value for the programs of this host, and for all
	size   int
	queues [classes]list.List // of *entry, the longest idle first
}

// front returns the entry of a class that has been idle longest, or nil.
func (g *group) front(c class) *entry {
	if e := g.queues[c].Front(); e != nil {
		return e.Value.(*entry)
	}
	return nil
}

// oldest returns the entry that has been idle longest of those that may make room, or nil.
func (g *group) oldest() (victim *entry) {
	for _, c := range evictable {
		if e := g.front(c); e != nil && (victim == nil || e.used < victim.used) {
			victim = e
		}
	}
	return victim
}

// share is the number of entries that a group may have, and the counter of drops beyond.
type share struct {
	group *group
	limit int
	full  *atomic.Uint64
}

// sharesOf returns the groups of a client's entries. One address has the limit of a source, and an
// IPv6 /64, which one machine may have to itself, twice that. The programs of this host have all
// but an eighth of the table, where others find room. The caller holds t.mu.
func (t *table) sharesOf(client netip.Addr, isLocal bool) []share {
	of := func(source netip.Prefix, limit int, full *atomic.Uint64) share {
		g := t.sources[source]
		if g == nil {
			g = &group{source: source}
		}
		return share{g, max(1, limit), full}
	}
	all := share{&t.all, t.limits.Mappings, &t.stats.DropMappings}
	if isLocal {
		own := t.limits.Mappings - t.limits.Mappings/8
		return []share{of(netip.Prefix{}, own, &t.stats.DropMappings), all}
	}
	address, perSource := netip.PrefixFrom(client, client.BitLen()), &t.stats.DropPerSource
	shares := []share{of(address, t.limits.PerSource, perSource)}
	if client.Is6() {
		network, _ := client.Prefix(64) // fails for no IPv6 address
		shares = append(shares, of(network, 2*t.limits.PerSource, perSource))
	}
	return append(shares, all)
}
