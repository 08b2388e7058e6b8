package virtual

import (
	"container/list"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Table maps virtual addresses to names. It is safe for concurrent use. A nil Table is empty.
type Table struct {
	pool  Pool
	renew func(name string, done func(...Family))

	mu      sync.Mutex // guards all below
	byName  map[string]*entry
	entries []*entry // by number; nil where no name has had it
	order   list.List
	evicted uint64
}

// entry is a name with its addresses. Table.mu guards it.
type entry struct {
	name    string
	number  int
	place   *list.Element // in Table.order: longest idle first, as far as used says
	used    time.Time
	held    int      // connections
	of      [2]known // of each family
	renewal *renewal // nil = none goes on
}

// known has the addresses of a name in one family. Table.mu guards it.
type known struct {
	real    []netip.Addr
	expires time.Time // the zero value: the DNS has not yet said anything
	sent    sent
}

// Family is one of the two families of addresses.
type Family int

// The families. An array for both has them as its indices.
const (
	V4 Family = iota
	V6
)

// FamilyOf returns the family of an address. An IPv4-mapped address is of IPv6.
func FamilyOf(a netip.Addr) Family {
	if a.Is4() {
		return V4
	}
	return V6
}

// renewal is a lookup of the real addresses of a name. Table.mu guards it.
type renewal struct {
	waiting [2][]func() // to be called when it is over for a family
	over    [2]bool
}

// maxReal bounds the real addresses of a name, of each family.
const maxReal = 16

// Times that keep a name in use, and its real addresses.
const (
	idle = 5 * time.Minute // of a flow of datagrams (RFC 4787 §4.3)
	soon = time.Second     // until datagrams without an answer go to the next real address
)

// New returns a table. It calls renew when the real addresses of a name have expired. renew must
// call done once for each family, from any goroutine, after it has called Assign or has failed.
// Until then it is not called for the name again. If nil, nothing is renewed.
func New(p Pool, renew func(name string, done func(...Family))) *Table {
	return &Table{pool: p, renew: renew, byName: make(map[string]*entry)}
}

// errExhausted means that all addresses stand for names with flows.
var errExhausted = errors.New("all virtual addresses are in use")

// Assign returns the address of a family that stands for a name, the zero value if the pool lacks
// the family. From now until expires, the name has these real addresses of the family, of which at
// most 16 are kept.
func (t *Table) Assign(
	name string, f Family, real []netip.Addr, expires time.Time,
) (netip.Addr, error) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.byName[name]
	if e == nil {
		if e = t.newEntry(now); e == nil {
			return netip.Addr{}, errExhausted
		}
		e.name = name
		t.byName[name] = e
	}
	e.used = now
	e.of[f].set(real, expires)
	if f == V6 {
		return t.pool.v6(e.number), nil
	}
	a, _ := t.pool.v4(e.number)
	return a, nil
}

// set replaces the real addresses. Table.mu is held.
func (k *known) set(real []netip.Addr, expires time.Time) {
	k.real, k.expires = slices.Clone(real[:min(len(real), maxReal)]), expires
}

// Update changes the real addresses of a name, if it has virtual ones, as Assign does.
func (t *Table) Update(name string, f Family, real []netip.Addr, expires time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.byName[name]; e != nil {
		e.of[f].set(real, expires)
	}
}

// Postpone extends the validity of the real addresses of a name, if it has virtual ones, to until.
func (t *Table) Postpone(name string, f Family, until time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.byName[name]; e != nil {
		e.of[f].expires = until
	}
}

// newEntry returns an entry with a number that no name has: a new one, or that of the name that has
// been idle longest. mu is held.
func (t *Table) newEntry(now time.Time) *entry {
	for len(t.entries) < t.pool.size() {
		n := len(t.entries)
		t.entries = append(t.entries, nil)
		if _, ok := t.pool.v4(n); ok && n > 0 { // the first IPv6 address is that of routers (RFC 4291 §2.6.1)
			e := &entry{number: n}
			e.place = t.order.PushBack(e)
			t.entries[n] = e
			return e
		}
	}
	// Uses do not move an entry, so those that are found in use here do.
	for range t.order.Len() {
		e := t.order.Front().Value.(*entry)
		t.order.MoveToBack(e.place)
		if e.held > 0 || now.Sub(e.used) < idle ||
			now.Before(e.of[V4].expires) || now.Before(e.of[V6].expires) { // which clients may cache
			continue
		}
		delete(t.byName, e.name)
		t.evicted++
		*e = entry{number: e.number, place: e.place}
		return e
	}
	return nil
}

// at returns the entry of an address, nil if it stands for no name. mu is held.
func (t *Table) at(a netip.Addr) *entry {
	a = a.Unmap()
	if !t.pool.contains(a) {
		return nil
	}
	if n := t.pool.number(a); n < uint64(len(t.entries)) {
		if e := t.entries[n]; e != nil && e.name != "" {
			return e
		}
	}
	return nil
}

// Contains reports whether an address belongs to the pool. It may stand for no name.
func (t *Table) Contains(a netip.Addr) bool { return t != nil && t.pool.contains(a.Unmap()) }

// Name returns the name that an address stands for.
func (t *Table) Name(a netip.Addr) (name string, ok bool) {
	if !t.Contains(a) {
		return "", false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.at(a); e != nil {
		return e.name, true
	}
	return "", false
}

// Await calls then once, when the real addresses of the name of an address are known in its family:
// at once if they are valid or cannot be renewed, else from another goroutine.
func (t *Table) Await(a netip.Addr, then func()) {
	t.mu.Lock()
	e := t.at(a)
	if e == nil || !t.isStale(e, time.Now()) {
		t.mu.Unlock()
		then()
		return
	}
	start := t.renewed(e, FamilyOf(a.Unmap()), then)
	t.mu.Unlock()
	start()
}

// isStale reports whether the real addresses of a name must be renewed. mu is held.
func (t *Table) isStale(e *entry, now time.Time) bool {
	isOver := func(k *known) bool { return !k.expires.IsZero() && now.After(k.expires) }
	return t.renew != nil && (isOver(&e.of[V4]) || isOver(&e.of[V6]))
}

// renewed arranges a call of then, if it is not nil, when the real addresses of a name have been
// renewed in a family. It returns a function that starts the renewal, unless one is running or
// over. mu is held, but must not be held when start is called.
func (t *Table) renewed(e *entry, f Family, then func()) (start func()) {
	start = func() {}
	if e.renewal == nil {
		r, name := new(renewal), e.name
		e.renewal = r
		start = func() { t.renew(name, func(all ...Family) { t.over(e, r, all) }) }
	}
	switch {
	case then == nil:
	case e.renewal.over[f]:
		start = then
	default:
		e.renewal.waiting[f] = append(e.renewal.waiting[f], then)
	}
	return start
}

// over ends a renewal in some families. The entry may belong to another name by then.
func (t *Table) over(e *entry, r *renewal, families []Family) {
	var waiting []func()
	t.mu.Lock()
	for _, f := range families {
		r.over[f] = true
		waiting = append(waiting, r.waiting[f]...)
	}
	if e.renewal == r && r.over[V4] && r.over[V6] {
		e.renewal = nil
	}
	t.mu.Unlock()
	for _, then := range waiting {
		then()
	}
}

// Real returns the real addresses of the name of an address, in the order in which to dial them:
// the families alternate, that of the virtual address first (RFC 8305 §4).
func (t *Table) Real(a netip.Addr) []netip.Addr {
	t.mu.Lock()
	e := t.at(a)
	if e == nil {
		t.mu.Unlock()
		return nil
	}
	e.used = time.Now()
	f := FamilyOf(a.Unmap())
	first, other := e.of[f].real, e.of[V4+V6-f].real // are replaced, not changed
	t.mu.Unlock()
	order := make([]netip.Addr, 0, len(first)+len(other))
	for i := range max(len(first), len(other)) {
		for _, all := range [][]netip.Addr{first, other} {
			if i < len(all) {
				order = append(order, all[i])
			}
		}
	}
	return order
}

// Hold notes the beginning of a connection to an address, whose name stays until Release. It
// reports whether there is a name; without one, Release must not follow.
func (t *Table) Hold(a netip.Addr) bool {
	if !t.Contains(a) {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.at(a)
	if e != nil {
		e.held++
	}
	return e != nil
}

// Release notes the end of a connection that Hold has noted.
func (t *Table) Release(a netip.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.at(a); e != nil {
		e.held--
		e.used = time.Now()
	}
}

// Stats are figures of a table.
type Stats struct {
	Names   int    // that have addresses
	Evicted uint64 // names that have lost theirs to others
}

// Stats returns the figures.
func (t *Table) Stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	return Stats{Names: len(t.byName), Evicted: t.evicted}
}
