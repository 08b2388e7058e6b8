//go:build linux

package nat

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"syntap/stack/sched"
)

// table holds the mappings. Only the read loop looks one up or adds it; the poller notes answers,
// and the goroutine of serve removes idle ones.
type table struct {
	stats  *Stats
	poller *sched.Poller
	epoch  time.Time // of the clock that now reads

	mu       sync.Mutex // guards the fields below; never held while a socket is closed
	timeouts [classes]time.Duration
	limits   Limits
	byKey    map[key]*entry
	own      map[endpoint]bool  // of our sockets
	locals   map[netip.Addr]int // of this host, and the number of mappings at each
	all      group
	sources  map[netip.Prefix]*group // by group.source
	wakeAt   time.Duration           // when timer fires; 0 when it does not
	sweepAt  time.Duration           // when idle flows of mappings in use end

	timer  *time.Timer
	closed chan struct{} // closed by close; ends serve
}

func newTable(o *Options, poller *sched.Poller, stats *Stats) *table {
	t := &table{
		stats:   stats,
		poller:  poller,
		epoch:   time.Now(),
		byKey:   make(map[key]*entry),
		own:     make(map[endpoint]bool),
		locals:  make(map[netip.Addr]int),
		sources: make(map[netip.Prefix]*group),
		timer:   time.NewTimer(0),
		closed:  make(chan struct{}),
	}
	t.timer.Stop()
	t.setLimits(o.Limits)
	return t
}

// setLimits puts limits in force.
func (t *table) setLimits(l Limits) {
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
		t.wake(t.now())
	}
}

// lifetime returns how long a flow of datagrams or echoes lives without one.
func (t *table) lifetime(echo bool) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if echo {
		return t.timeouts[echoes]
	}
	return t.timeouts[unanswered]
}

// bounds returns the most mappings that there may be, and those of a source.
func (t *table) bounds() (all, perSource int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return max(1, t.limits.Mappings), max(1, t.limits.PerSource)
}

// now returns the time since the table was made.
func (t *table) now() time.Duration { return time.Since(t.epoch) }

// owns reports whether a packet comes from a socket of ours.
func (t *table) owns(e endpoint) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.own[e]
}

// find returns the mapping of a client endpoint that is about to send datagrams to port, or nil.
func (t *table) find(k key, port uint16, datagrams int, now time.Duration) *mapping {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.byKey[k]
	if e == nil {
		return nil
	}
	e.asks(port, datagrams)
	t.use(e, now)
	return e.mapping
}

// mappingsOf returns the mappings of a client endpoint, and does not count as their use.
func (t *table) mappingsOf(client endpoint) (all []*mapping) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for local := range t.locals {
		if e := t.byKey[key{client: client, local: local}]; e != nil {
			all = append(all, e.mapping)
		}
	}
	return all
}

// heard notes that datagrams have come for the client.
func (t *table) heard(m *mapping, datagrams int, now time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.byKey[m.key]
	if e == nil || e.mapping != m {
		return // removed
	}
	e.answered = true
	e.questions = max(0, e.questions-datagrams)
	t.use(e, now)
}

// use notes that an entry is in use, and moves it to the class of that use. mu is held.
func (t *table) use(e *entry, now time.Duration) {
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

// makeRoom makes room for a mapping of a client, or returns the counter of the limit that is
// reached. In a full group the entry that has been idle longest gives way, of those that may.
func (t *table) makeRoom(client netip.Addr, isLocal bool) (full *atomic.Uint64) {
	t.mu.Lock()
	var victims []*mapping
	for _, s := range t.sharesOf(client, isLocal) {
		if s.group.size < s.limit {
			continue
		}
		victim := s.group.oldest()
		if victim == nil {
			full = s.full
			break
		}
		t.remove(victim)
		victims = append(victims, victim.mapping)
	}
	t.mu.Unlock()
	t.evict(victims)
	return full
}

// evictOf makes an entry of a client's source give way, and reports whether there was one.
func (t *table) evictOf(client netip.Addr, isLocal bool) bool {
	t.mu.Lock()
	victim := t.sharesOf(client, isLocal)[0].group.oldest()
	if victim != nil {
		t.remove(victim)
	}
	t.mu.Unlock()
	if victim == nil {
		return false
	}
	t.evict([]*mapping{victim.mapping})
	return true
}

func (t *table) evict(victims []*mapping) {
	for _, m := range victims {
		t.stats.Evicted.Add(1)
		m.close(t.poller)
	}
}

// add enters a mapping that is about to send datagrams to port.
func (t *table) add(m *mapping, port uint16, datagrams int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := &entry{mapping: m, onlyNames: true, used: t.now()}
	for _, s := range t.sharesOf(m.key.client.Addr(), m.isLocal) {
		if s.group != &t.all {
			t.sources[s.group.source] = s.group
		}
		e.places = append(e.places, place{group: s.group})
	}
	e.asks(port, datagrams)
	e.class = e.classNow()
	e.enter()
	t.byKey[m.key] = e
	t.own[m.ownEndpoint()] = true
	t.locals[m.key.local]++
	t.gauge(m).Add(1)
	t.wake(e.used + t.timeouts[e.class])
}

// remove takes an entry out; the caller closes its mapping. mu is held.
func (t *table) remove(e *entry) {
	delete(t.byKey, e.key)
	delete(t.own, e.ownEndpoint())
	if t.locals[e.key.local]--; t.locals[e.key.local] == 0 {
		delete(t.locals, e.key.local)
	}
	e.leave()
	for _, p := range e.places {
		if p.group.size == 0 && p.group != &t.all {
			delete(t.sources, p.group.source)
		}
	}
	t.gauge(e.mapping).Add(-1)
}

// wake has the timer fire at the given time or before. mu is held.
func (t *table) wake(at time.Duration) {
	if t.wakeAt == 0 || at < t.wakeAt {
		t.wakeAt = at
		t.timer.Reset(at - t.now())
	}
}

// serve ends idle mappings until the table is closed. It sleeps while there are none.
func (t *table) serve() {
	for {
		select {
		case <-t.timer.C:
			t.expire()
		case <-t.closed:
			return
		}
	}
}

func (t *table) expire() {
	var idle []*mapping
	t.mu.Lock()
	now := t.now()
	t.wakeAt = 0
	for c := range classes {
		for e := t.all.front(c); e != nil; e = t.all.front(c) {
			if deadline := e.used + t.timeouts[c]; deadline > now {
				t.wake(deadline)
				break
			}
			t.remove(e)
			idle = append(idle, e.mapping)
		}
	}
	used := t.toSweep(now)
	t.mu.Unlock()
	for _, m := range idle {
		m.close(t.poller)
	}
	for _, m := range used {
		m.endIdleFlows(now - t.lifetime(m.key.client.echo))
	}
}

// toSweep returns the mappings with recorded flows, when it is time to end the idle ones of these.
// mu is held.
func (t *table) toSweep(now time.Duration) (all []*mapping) {
	switch {
	case len(t.byKey) == 0:
		return nil
	case t.sweepAt > now:
		t.wake(t.sweepAt)
		return nil
	}
	t.sweepAt = now + min(t.timeouts[unanswered], t.timeouts[echoes])/4
	for _, e := range t.byKey {
		if e.recorder != nil {
			all = append(all, e.mapping)
		}
	}
	if len(all) > 0 {
		t.wake(t.sweepAt)
	}
	return all
}

// close ends all mappings, and serve. Nothing may be added after it.
func (t *table) close() {
	close(t.closed)
	var all []*mapping
	t.mu.Lock()
	for _, e := range t.byKey {
		t.remove(e)
		all = append(all, e.mapping)
	}
	t.mu.Unlock()
	for _, m := range all {
		m.close(t.poller)
	}
}

func (t *table) gauge(m *mapping) *atomic.Int64 {
	if m.key.client.echo {
		return &t.stats.Echo
	}
	return &t.stats.UDP
}
