package mappings

import (
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Stats has the counters of a table, which only grow, and its gauges, which are marked as such.
type Stats struct {
	UDP     atomic.Int64  // gauge: mappings of UDP
	Echo    atomic.Int64  // gauge: mappings of echo identifiers
	Evicted atomic.Uint64 // mappings that made room for others

	// Dropped outbound frames, by reason.
	DropMappings  atomic.Uint64 // beyond Limits.Mappings
	DropPerSource atomic.Uint64 // beyond Limits.PerSource
}

// Table holds the mappings. Only the read loop looks one up or adds it; the poller notes answers,
// and the goroutine of Serve removes idle ones.
type Table struct {
	stats  *Stats
	sweeps bool      // mappings in use have idle flows
	epoch  time.Time // of the clock that Now reads

	mu       sync.Mutex // guards the fields below; never held while a socket is closed
	timeouts [classes]time.Duration
	limits   Limits
	byKey    map[Key]*Entry
	outside  map[Endpoint]bool  // of our sockets
	locals   map[netip.Addr]int // of this host, and the number of mappings at each
	all      group
	sources  map[netip.Prefix]*group // by group.source
	wakeAt   time.Duration           // when timer fires; 0 when it does not
	sweepAt  time.Duration           // when idle flows of mappings in use end

	timer  *time.Timer
	closed chan struct{} // closed by Close; ends Serve
	shared *Places       // nil where no other table has the same limits
}

// New returns an empty table. sweeps means that EndIdleFlows is called for mappings in use, too.
func New(l Limits, stats *Stats, sweeps bool) *Table {
	t := &Table{
		stats:   stats,
		sweeps:  sweeps,
		epoch:   time.Now(),
		byKey:   make(map[Key]*Entry),
		outside: make(map[Endpoint]bool),
		locals:  make(map[netip.Addr]int),
		sources: make(map[netip.Prefix]*group),
		timer:   time.NewTimer(0),
		closed:  make(chan struct{}),
	}
	t.timer.Stop()
	t.SetLimits(l)
	return t
}

// SetLimits changes the limits. A limit below the present number ends no mapping.
func (t *Table) SetLimits(l Limits) {
	l.setDefaults()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.limits = l
	t.timeouts = [classes]time.Duration{
		unanswered: l.UDPTimeout,
		answered:   l.UDPTimeout,
		nameLookup: min(nameLookupTimeout, l.UDPTimeout),
		echoes:     l.ICMPTimeout,
	}
	if len(t.byKey) > 0 {
		t.wake(t.Now())
	}
}

// Lifetime returns how long a flow of datagrams or echoes lives when idle.
func (t *Table) Lifetime(echo bool) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if echo {
		return t.timeouts[echoes]
	}
	return t.timeouts[unanswered]
}

// Bounds returns the largest number of mappings, in total and of one source.
func (t *Table) Bounds() (all, perSource int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return max(1, t.limits.Mappings), max(1, t.limits.PerSource)
}

// Now returns the time since the table was made.
func (t *Table) Now() time.Duration { return time.Since(t.epoch) }

// Closed returns a channel that is closed with the table.
func (t *Table) Closed() <-chan struct{} { return t.closed }

// Owns reports whether a packet comes from a socket of ours.
func (t *Table) Owns(e Endpoint) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.outside[e]
}

// Find returns the mapping of a key whose client is about to send datagrams, or nil. names is for
// datagrams to a nameserver.
func (t *Table) Find(k Key, names bool, datagrams int, now time.Duration) Mapping {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.byKey[k]
	if e == nil {
		return nil
	}
	e.asks(names, datagrams)
	t.use(e, now)
	return e.Mapping
}

// Of returns the mappings of a client endpoint, and does not count as their use.
func (t *Table) Of(client Endpoint) (all []Mapping) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for local := range t.locals {
		if e := t.byKey[Key{client, local}]; e != nil {
			all = append(all, e.Mapping)
		}
	}
	return all
}

// Heard notes that datagrams have come for the client.
func (t *Table) Heard(e *Entry, datagrams int, now time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e.places == nil {
		return // removed
	}
	e.answered = true
	e.questions = max(0, e.questions-datagrams)
	t.use(e, now)
}

// use notes that an entry is in use, and moves it to the class of that use. mu is held.
func (t *Table) use(e *Entry, now time.Duration) {
	e.used = now
	if c := e.classNow(); c != e.class {
		e.leave()
		e.class = c
		e.enter()
		t.wake(now + t.timeouts[c])
		return
	}
	e.stay()
}

// MakeRoom makes room for a mapping of a client, or returns the counter of the limit that is
// reached. A full group evicts its longest-idle evictable entry, and one of another table only if
// this table has none.
func (t *Table) MakeRoom(client netip.Addr, isLocal bool) (full *atomic.Uint64) {
	var victims []Mapping
	for {
		t.mu.Lock()
		var crowded *group // the first that no entry of this table can leave
		for _, g := range t.groupsOf(client, isLocal) {
			limit, drops := t.limitOf(g)
			if t.sizeOf(g) < limit {
				continue
			}
			victim := g.oldest()
			if victim == nil {
				full, crowded = drops, g
				break
			}
			t.remove(victim)
			victims = append(victims, victim.Mapping)
		}
		t.mu.Unlock()
		if crowded == nil {
			full = nil
			break
		}
		if !t.evictElsewhere(crowded.source, crowded == &t.all) {
			break
		}
	}
	t.evict(victims)
	return full
}

// EvictOf evicts an entry of a client's source, and reports whether there was one.
func (t *Table) EvictOf(client netip.Addr, isLocal bool) bool {
	t.mu.Lock()
	victim := t.groupsOf(client, isLocal)[0].oldest()
	if victim != nil {
		t.remove(victim)
	}
	source := t.groupsOf(client, isLocal)[0].source
	t.mu.Unlock()
	if victim == nil {
		return t.evictElsewhere(source, false)
	}
	t.evict([]Mapping{victim.Mapping})
	return true
}

func (t *Table) evict(victims []Mapping) {
	for _, m := range victims {
		t.stats.Evicted.Add(1)
		m.End()
	}
}

// Add adds a mapping whose client is about to send datagrams; names means to a nameserver.
func (t *Table) Add(e *Entry, names bool, datagrams int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e.onlyNames, e.used = true, t.Now()
	for _, g := range t.groupsOf(e.Client.Addr(), e.IsLocal) {
		if g != &t.all {
			t.sources[g.source] = g
		}
		e.places = append(e.places, place{group: g})
	}
	e.asks(names, datagrams)
	e.class = e.classNow()
	e.enter()
	t.byKey[e.Key] = e
	t.outside[e.Outside] = true
	t.locals[e.Local]++
	t.gauge(e).Add(1)
	if t.shared != nil {
		t.shared.count(e, &t.all, 1)
	}
	t.wake(e.used + t.timeouts[e.class])
}

// remove removes an entry; the caller ends its mapping. mu is held.
func (t *Table) remove(e *Entry) {
	delete(t.byKey, e.Key)
	delete(t.outside, e.Outside)
	if t.locals[e.Local]--; t.locals[e.Local] == 0 {
		delete(t.locals, e.Local)
	}
	e.leave()
	for _, p := range e.places {
		if p.group.size == 0 && p.group != &t.all {
			delete(t.sources, p.group.source)
		}
	}
	if t.shared != nil {
		t.shared.count(e, &t.all, -1)
	}
	e.places = nil
	t.gauge(e).Add(-1)
}

// wake sets the timer to the given time, unless it fires earlier. mu is held.
func (t *Table) wake(at time.Duration) {
	if t.wakeAt == 0 || at < t.wakeAt {
		t.wakeAt = at
		t.timer.Reset(at - t.Now())
	}
}

// Serve ends idle mappings until the table is closed. It sleeps while there are none.
func (t *Table) Serve() {
	for {
		select {
		case <-t.timer.C:
			t.expire()
		case <-t.closed:
			return
		}
	}
}

func (t *Table) expire() {
	var idle []Mapping
	t.mu.Lock()
	now := t.Now()
	t.wakeAt = 0
	for c := range classes {
		for e := t.all.front(c); e != nil; e = t.all.front(c) {
			if deadline := e.used + t.timeouts[c]; deadline > now {
				t.wake(deadline)
				break
			}
			t.remove(e)
			idle = append(idle, e.Mapping)
		}
	}
	used := t.toSweep(now)
	t.mu.Unlock()
	for _, m := range idle {
		m.End()
	}
	for _, e := range used {
		e.Mapping.EndIdleFlows(now - t.Lifetime(e.Client.Echo))
	}
}

// toSweep returns the mappings whose idle flows must end now, if it is time for that. mu is held.
func (t *Table) toSweep(now time.Duration) (all []*Entry) {
	switch {
	case len(t.byKey) == 0 || !t.sweeps:
		return nil
	case t.sweepAt > now:
		t.wake(t.sweepAt)
		return nil
	}
	t.sweepAt = now + min(t.timeouts[unanswered], t.timeouts[echoes])/4
	t.wake(t.sweepAt)
	return slices.Collect(maps.Values(t.byKey))
}

// Close ends all mappings, and Serve. Nothing may be added after it.
func (t *Table) Close() {
	close(t.closed)
	var all []Mapping
	t.mu.Lock()
	for _, e := range t.byKey {
		t.remove(e)
		all = append(all, e.Mapping)
	}
	t.mu.Unlock()
	for _, m := range all {
		m.End()
	}
}

func (t *Table) gauge(e *Entry) *atomic.Int64 {
	if e.Client.Echo {
		return &t.stats.Echo
	}
	return &t.stats.UDP
}
