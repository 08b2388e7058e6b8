package names

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"syntap/tun/flow"
)

const (
	// Grace is how long a name lasts beyond the TTL of its answer, and beyond the end of the last
	// connection to the address.
	Grace = 30 * time.Second
	// MaxTTL bounds the TTL of an answer, as resolvers do.
	MaxTTL = 24 * time.Hour
)

// Table knows names of addresses. It is safe for concurrent use.
type Table struct {
	limit int       // bytes
	epoch time.Time // from which times count

	mu        sync.Mutex // guards all below
	addresses map[address]*entry
	targets   map[target]*entry
	sources   map[Client]*source
	all       list
	stats     Stats
}

type address struct {
	Client
	addr netip.Addr
}

type target struct {
	Client
	name string
}

// source is the entries of clients that share a bound.
type source struct {
	client  Client
	entries list
	bytes   int
}

// Stats are figures of a Table.
type Stats struct {
	Addresses int    // that have names, of all clients; also where their time has passed lately
	Bytes     int    // of memory, by estimate
	Open      int    // connections and flows that keep names
	Evicted   uint64 // addresses that gave way to others
}

// Limit is a bound of a table's memory in bytes that suits a gateway: some 20,000 addresses.
const Limit = 8 << 20

// New returns an empty table that takes up to limit bytes.
func New(limit int) *Table {
	return &Table{
		limit: limit, epoch: time.Now(),
		addresses: make(map[address]*entry), targets: make(map[target]*entry),
		sources: make(map[Client]*source),
	}
}

// Learn reads a DNS response to a client.
func (t *Table) Learn(c Client, d *flow.DNS, now time.Time) {
	a, ok := read(d)
	if !ok {
		return
	}
	at := now.Sub(t.epoch)
	t.mu.Lock()
	defer t.mu.Unlock()
	origins := t.origins(c, a.name, at)
	s := t.source(c)
	for i := range a.found {
		f := &a.found[i]
		e := t.entry(c, s, f)
		until := at + f.ttl + Grace
		e.learn(a.name, at, until)
		for _, origin := range slices.Backward(origins) {
			e.learn(origin, at, until)
		}
		t.charge(e)
		t.renew(e)
	}
	t.makeRoom(s)
}

// origins returns the names that have led a client to ask for a name, latest first.
func (t *Table) origins(c Client, name string, at time.Duration) []string {
	e := t.targets[target{c, name}]
	if e == nil {
		return nil
	}
	e.expire(at)
	return e.names
}

// Names are those of an address.
type Names struct {
	Name   string   // of the client's latest question; empty if none is known
	Others []string // those of earlier ones, latest first; not to be changed
}

// Use keeps the names of an address from Begin to End.
type Use struct{ own, shared *entry }

// Begin returns the names of an address to which a client begins a connection or flow, and keeps
// them until End.
func (t *Table) Begin(c Client, a netip.Addr, now time.Time) (n Names, u Use) {
	at := now.Sub(t.epoch)
	t.mu.Lock()
	defer t.mu.Unlock()
	u.own = t.begin(c, a, at)
	if c.kind == user || c.kind == unknownUser {
		u.shared = t.begin(AllUsers(), a, at)
	}
	var all []string
	switch {
	case u.own != nil && u.shared != nil:
		all = merge(u.own, u.shared)
	case u.own != nil:
		all = u.own.names
	case u.shared != nil:
		all = u.shared.names
	default:
		return n, u
	}
	t.stats.Open++
	return Names{Name: all[0], Others: all[1:]}, u
}

func (t *Table) begin(c Client, a netip.Addr, at time.Duration) *entry {
	e := t.addresses[address{c, a}]
	if e == nil {
		return nil
	}
	if e.expire(at); len(e.pairs) == 0 {
		t.remove(e)
		return nil
	}
	e.use(at)
	e.open++
	t.renew(e)
	return e
}

// End ends a use. For an address without names it is optional.
func (t *Table) End(u Use, now time.Time) {
	if u == (Use{}) {
		return
	}
	at := now.Sub(t.epoch)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stats.Open--
	t.end(u.own, at)
	t.end(u.shared, at)
}

func (t *Table) end(e *entry, at time.Duration) {
	if e == nil {
		return
	}
	e.open--
	if e.source != nil {
		e.use(at)
		t.renew(e)
	}
}

// Stats returns the figures.
func (t *Table) Stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stats
}

// source returns the source that a client belongs to.
func (t *Table) source(c Client) *source {
	c = c.source()
	s := t.sources[c]
	if s == nil {
		s = &source{client: c, entries: list{which: 1}}
		t.sources[c] = s
	}
	return s
}

// entry returns the entry of an address or target, and creates it if there is none.
func (t *Table) entry(c Client, s *source, f *found) *entry {
	e := t.addresses[address{c, f.addr}]
	if f.target != "" {
		e = t.targets[target{c, f.target}]
	}
	if e != nil {
		return e
	}
	e = &entry{client: c, addr: f.addr, target: f.target, source: s}
	if f.target != "" {
		t.targets[target{c, f.target}] = e
	} else {
		t.addresses[address{c, f.addr}] = e
		t.stats.Addresses++
	}
	t.all.add(e)
	s.entries.add(e)
	return e
}

func (t *Table) renew(e *entry) {
	t.all.renew(e)
	e.source.entries.renew(e)
}

// charge updates the charged size of an entry.
func (t *Table) charge(e *entry) {
	more := e.size() - e.bytes
	e.bytes += more
	e.source.bytes += more
	t.stats.Bytes += more
}

// makeRoom evicts entries until the bounds hold, after a source has learned.
func (t *Table) makeRoom(s *source) {
	for s.bytes > t.limit/4 {
		t.evict(&s.entries)
	}
	for t.stats.Bytes > t.limit {
		t.evict(&t.all)
	}
}

// evict removes the oldest entry of a list from the table. Entries with open connections come last:
// up to secondChances of them become the newest instead.
func (t *Table) evict(l *list) {
	const secondChances = 8
	for range secondChances {
		if l.oldest.open == 0 {
			break
		}
		l.renew(l.oldest)
	}
	t.remove(l.oldest)
	t.stats.Evicted++
}

// remove removes an entry from the table. Its uses later end without effect.
func (t *Table) remove(e *entry) {
	if e.target != "" {
		delete(t.targets, target{e.client, e.target})
	} else {
		delete(t.addresses, address{e.client, e.addr})
		t.stats.Addresses--
	}
	t.all.remove(e)
	s := e.source
	s.entries.remove(e)
	s.bytes -= e.bytes
	t.stats.Bytes -= e.bytes
	if s.entries.oldest == nil {
		delete(t.sources, s.client)
	}
	e.source = nil
}
