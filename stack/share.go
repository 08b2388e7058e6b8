//go:build linux

package stack

import (
	"container/list"
	"net/netip"
	"sync/atomic"
	"time"
)

// group is mappings that share a limit: all there are, or those of one source.
type group struct {
	size   int
	queues [idleClasses]list.List // the *mapping longest idle first
}

// front returns the mapping of a class that has been idle longest, or nil.
func (g *group) front(class idleClass) *mapping {
	if e := g.queues[class].Front(); e != nil {
		return e.Value.(*mapping)
	}
	return nil
}

// oldest returns the mapping that has been idle longest of those that may make room, or nil.
func (g *group) oldest() (victim *mapping) {
	for _, class := range evictable {
		if m := g.front(class); m != nil && (victim == nil || m.used < victim.used) {
			victim = m
		}
	}
	return victim
}

// membership is what nat knows of a mapping, and guards by its lock.
type membership struct {
	groups []membershipOf
	class  idleClass
	used   time.Duration // when, on nat's clock

	questions int  // datagrams sent that have no answer yet
	onlyNames bool // all were for port 53
	answered  bool
}

type membershipOf struct {
	group  *group
	source netip.Prefix // whose the group is
	place  *list.Element
}

// asks notes that a mapping is about to send datagrams to port.
func (m *mapping) asks(port uint16, datagrams int) {
	m.onlyNames = m.onlyNames && port == portDNS
	m.questions += datagrams
}

// classNow returns the class that a mapping belongs to by what it has been used for.
func (m *mapping) classNow() idleClass {
	switch {
	case m.key.echo:
		return echoed
	case !m.answered:
		return unanswered
	case m.onlyNames && m.questions == 0:
		return nameLookup
	}
	return answered
}

// enter puts a mapping at the ends of its queues.
func (m *mapping) enter() {
	for i := range m.groups {
		g := &m.groups[i]
		g.group.size++
		g.place = g.group.queues[m.class].PushBack(m)
	}
}

func (m *mapping) leave() {
	for i := range m.groups {
		g := &m.groups[i]
		g.group.size--
		g.group.queues[m.class].Remove(g.place)
	}
}

// stay moves a mapping to the ends of its queues.
func (m *mapping) stay() {
	for i := range m.groups {
		g := &m.groups[i]
		g.group.queues[m.class].MoveToBack(g.place)
	}
}

// share is how many mappings a group may have, and what is counted beyond.
type share struct {
	group  *group
	source netip.Prefix
	limit  int
	full   *atomic.Uint64
}

// sharesOf returns the groups of a client's mappings. One address has the limit of a source, and a
// network that one machine may have to itself twice that. The programs of this host have all but an
// eighth of the table: others find room in that. mu is held.
func (t *table) sharesOf(client netip.Addr, local bool) []share {
	all := share{&t.all, netip.Prefix{}, t.limits.Mappings, &t.stats.DropUDPFlows}
	of := func(source netip.Prefix, limit int) share {
		g := t.sources[source]
		if g == nil {
			g = new(group)
		}
		return share{g, source, max(1, limit), &t.stats.DropUDPPerSource}
	}
	if local {
		return []share{of(netip.Prefix{}, t.limits.Mappings-t.limits.Mappings/8), all}
	}
	shares := []share{of(netip.PrefixFrom(client, client.BitLen()), t.limits.PerSource)}
	if client.Is6() {
		network, _ := client.Prefix(64) // fails for no IPv6 address
		shares = append(shares, of(network, 2*t.limits.PerSource))
	}
	return append(shares, all)
}
