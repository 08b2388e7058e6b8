package mappings

import (
	"net/netip"
	"sync"
)

// Places counts the mappings of several tables that share their limits.
type Places struct {
	mu     sync.Mutex           // guards the fields below; taken with the lock of a table held
	tables []*Table             // of all
	sizes  map[netip.Prefix]int // by group.source
	all    int
}

// NewPlaces returns the places of no table yet.
func NewPlaces() *Places { return &Places{sizes: make(map[netip.Prefix]int)} }

// Share makes a new table share its limits with others.
func (t *Table) Share(p *Places) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tables = append(p.tables, t)
	t.shared = p
}

// count counts an entry in (1) or out (-1).
func (p *Places) count(e *Entry, all *group, delta int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, place := range e.places {
		if place.group == all {
			p.all += delta
			continue
		}
		source := place.group.source
		if p.sizes[source] += delta; p.sizes[source] == 0 {
			delete(p.sizes, source)
		}
	}
}

// sizeOf returns the number of entries of a group of this table, and of those of the same name in
// others. mu is held.
func (t *Table) sizeOf(g *group) int {
	if t.shared == nil {
		return g.size
	}
	p := t.shared
	p.mu.Lock()
	defer p.mu.Unlock()
	if g == &t.all {
		return p.all
	}
	return p.sizes[g.source]
}

// evictElsewhere evicts an entry of another table: of a source, or any if all. It reports whether
// there was one. No lock is held.
func (t *Table) evictElsewhere(source netip.Prefix, all bool) bool {
	if t.shared == nil {
		return false
	}
	t.shared.mu.Lock()
	tables := t.shared.tables
	t.shared.mu.Unlock()
	for _, other := range tables {
		if other != t && other.evictFrom(source, all) {
			return true
		}
	}
	return false
}

func (t *Table) evictFrom(source netip.Prefix, all bool) bool {
	t.mu.Lock()
	g := t.sources[source]
	if all {
		g = &t.all
	}
	var victim *Entry
	if g != nil {
		victim = g.oldest()
	}
	if victim != nil {
		t.remove(victim)
	}
	t.mu.Unlock()
	if victim == nil {
		return false
	}
	t.evict([]Mapping{victim.Mapping})
	return true
}
