package mappings

import (
	"container/list"
	"net/netip"
	"sync/atomic"
	"time"
)

// class determines how long a mapping lives without a datagram.
type class uint8

const (
	unanswered class = iota
	answered
	nameLookup // used for DNS alone, with all answers: may end early (RFC 4787 §4.3)
	echoes
	classes
)

// evictable are the classes of mappings that may be evicted. An answered one stays.
var evictable = [...]class{unanswered, nameLookup, echoes}

const nameLookupTimeout = 10 * time.Second

// Mapping is the owner of an entry. Its methods are called without locks of the table.
type Mapping interface {
	// End ends the mapping, which is out of the table.
	End()
	// EndIdleFlows ends the flows of a mapping in use that have been idle since a time on the
	// table's clock.
	EndIdleFlows(since time.Duration)
}

// Entry is a mapping in the table. The exported fields are constant from Add on.
type Entry struct {
	Key
	Mapping Mapping
	Outside Endpoint // of the mapping's socket
	IsLocal bool     // the client is a program of this host

	// Guarded by the table's lock.
	class  class
	used   time.Duration // the last time, on the table's clock
	places []place       // in each group that it belongs to; nil once it is out of the table

	questions int  // datagrams sent without an answer yet
	onlyNames bool // all were DNS queries
	answered  bool
}

type place struct {
	group   *group
	element *list.Element
}

// asks notes that a client is about to send datagrams; names is for those to a nameserver.
func (e *Entry) asks(names bool, datagrams int) {
	e.onlyNames = e.onlyNames && names
	e.questions += datagrams
}

// classNow returns the class of an entry by its use.
func (e *Entry) classNow() class {
	switch {
	case e.Client.Echo:
		return echoes
	case !e.answered:
		return unanswered
	case e.onlyNames && e.questions == 0:
		return nameLookup
	}
	return answered
}

// enter adds an entry to the ends of the queues of its class.
func (e *Entry) enter() {
	for i := range e.places {
		p := &e.places[i]
		p.group.size++
		p.element = p.group.queues[e.class].PushBack(e)
	}
}

// leave removes an entry from its queues.
func (e *Entry) leave() {
	for _, p := range e.places {
		p.group.size--
		p.group.queues[e.class].Remove(p.element)
	}
}

// stay moves an entry to the ends of its queues.
func (e *Entry) stay() {
	for _, p := range e.places {
		p.group.queues[e.class].MoveToBack(p.element)
	}
}

// group is the entries that share a limit: all there are, or those of one source.
type group struct {
	source netip.Prefix // the zero value for the programs of this host, and for all
	size   int
	queues [classes]list.List // of *Entry, the longest idle first
}

// front returns the entry of a class that has been idle longest, or nil.
func (g *group) front(c class) *Entry {
	if e := g.queues[c].Front(); e != nil {
		return e.Value.(*Entry)
	}
	return nil
}

// oldest returns the entry that has been idle longest of those that may make room, or nil.
func (g *group) oldest() (victim *Entry) {
	for _, c := range evictable {
		if e := g.front(c); e != nil && (victim == nil || e.used < victim.used) {
			victim = e
		}
	}
	return victim
}

// groupsOf returns the groups of a client's entries. The caller holds t.mu.
func (t *Table) groupsOf(client netip.Addr, isLocal bool) (all []*group) {
	of := func(source netip.Prefix) *group {
		if g := t.sources[source]; g != nil {
			return g
		}
		return &group{source: source}
	}
	if isLocal {
		return []*group{of(netip.Prefix{}), &t.all}
	}
	all = []*group{of(netip.PrefixFrom(client, client.BitLen()))}
	if client.Is6() {
		network, _ := client.Prefix(64) // fails for no IPv6 address
		all = append(all, of(network))
	}
	return append(all, &t.all)
}

// limitOf returns the number of entries that a group may have, and the counter of drops beyond. One
// address has the limit of a source, and an IPv6 /64, which one machine may have to itself, twice
// that. The programs of this host may use all but an eighth of the table. The caller holds t.mu.
func (t *Table) limitOf(g *group) (limit int, full *atomic.Uint64) {
	switch {
	case g == &t.all:
		return t.limits.Mappings, &t.stats.DropMappings
	case !g.source.IsValid():
		return max(1, t.limits.Mappings-t.limits.Mappings/8), &t.stats.DropMappings
	case !g.source.IsSingleIP():
		return max(1, 2*t.limits.PerSource), &t.stats.DropPerSource
	}
	return max(1, t.limits.PerSource), &t.stats.DropPerSource
}
