//go:build linux

package stack

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// table is the table of mappings. A mapping is added and looked up by the read loop alone; the poller
// notes answers, and the goroutine of serve removes what is idle.
type table struct {
	stats *Stats
	local func(netip.Addr) bool // whether a client is a program of this host
	epoch time.Time             // of the clock that now reads

	identBase uint16 // first of the echo identifiers on raw sockets; random, since other processes choose some too

	mu       sync.Mutex // guards the fields below; never held while closing a socket
	timeouts [idleClasses]time.Duration
	limits   natLimits
	byKey    map[mappingKey]*mapping
	own      map[ownSocket]bool // addresses of our sockets
	locals   map[netip.Addr]int // of this host, and how many mappings leave from each
	all      group
	sources  map[netip.Prefix]*group // mappings of one source; those of this host's programs together, under the zero value
	wakeAt   time.Duration           // when timer fires; 0 = it does not

	timer  *time.Timer
	closed chan struct{} // closed by close, ends serve
}

// ownSocket is what a socket of ours is bound to, or its echo identifier.
type ownSocket struct {
	addr netip.AddrPort
	echo bool
}

func (m *mapping) ownSocket() ownSocket { return ownSocket{m.own, m.key.echo} }

// owns reports whether a packet comes from a socket of ours.
func (t *table) owns(s ownSocket) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.own[s]
}

// idleClass says how long a mapping lives without a datagram.
type idleClass uint8

const (
	unanswered idleClass = iota
	answered
	nameLookup // all questions were for names, and all have their answer (RFC 4787 §4.3 allows less for well-known ports)
	echoed
	idleClasses
)

// evictable are the classes of those that make room for others; connections that are alive stay.
var evictable = [...]idleClass{unanswered, nameLookup, echoed}

const (
	portDNS           = 53
	nameLookupTimeout = 10 * time.Second
)

func newTable(l natLimits, local func(netip.Addr) bool, stats *Stats) *table {
	t := &table{
		stats:     stats,
		local:     local,
		epoch:     time.Now(),
		identBase: uint16(rand.Uint32()),
		byKey:     make(map[mappingKey]*mapping),
		own:       make(map[ownSocket]bool),
		locals:    make(map[netip.Addr]int),
		sources:   make(map[netip.Prefix]*group),
		timer:     time.NewTimer(0),
		closed:    make(chan struct{}),
	}
	t.timer.Stop()
	t.configure(l)
	return t
}

// configure puts limits in force.
func (t *table) configure(l natLimits) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.limits = l
	t.timeouts = [idleClasses]time.Duration{
		unanswered: l.UDPTimeout, answered: l.UDPTimeout, nameLookup: min(nameLookupTimeout, l.UDPTimeout), echoed: l.ICMPTimeout,
	}
	if len(t.byKey) > 0 {
		t.wake(t.now())
	}
}

func (t *table) now() time.Duration { return time.Since(t.epoch) }

// find returns the mapping of a client endpoint, which is about to send some datagrams to port, or
// nil.
func (t *table) find(key mappingKey, port uint16, datagrams int, now time.Duration) *mapping {
	t.mu.Lock()
	defer t.mu.Unlock()
	m := t.byKey[key]
	if m != nil {
		m.asks(port, datagrams)
		t.use(m, now)
	}
	return m
}

// mappingsOf returns the mappings of a client endpoint, and does not use them.
func (t *table) mappingsOf(client netip.AddrPort, echo bool) (all []*mapping) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for local := range t.locals {
		if m := t.byKey[mappingKey{client: client, echo: echo, local: local}]; m != nil {
			all = append(all, m)
		}
	}
	return all
}

// heard notes that somebody has sent datagrams to the client.
func (t *table) heard(m *mapping, datagrams int, now time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byKey[m.key] != m {
		return // already removed
	}
	m.answered = true
	m.questions = max(0, m.questions-datagrams)
	t.use(m, now)
}

// use notes that a mapping is in use, and what for. mu is held.
func (t *table) use(m *mapping, now time.Duration) {
	m.used = now
	if class := m.classNow(); class != m.class {
		m.leave()
		m.class = class
		m.enter()
		t.wake(now + t.timeouts[class])
		return
	}
	m.stay()
}

// makeRoom has there be room for a mapping of a client, or returns the counter of what there is too
// much of. Where there is none it takes the place of the mapping that has been idle longest of
// those that may make room.
func (t *table) makeRoom(client netip.Addr) (full *atomic.Uint64) {
	local := t.local(client)
	t.mu.Lock()
	var victims []*mapping
	for _, s := range t.sharesOf(client, local) {
		if s.group.size < s.limit {
			continue
		}
		victim := s.group.oldest()
		if victim == nil {
			full = s.full
			break
		}
		t.remove(victim)
		victims = append(victims, victim)
	}
	t.mu.Unlock()
	for _, m := range victims {
		t.stats.EvictedFlows.Add(1)
		m.close()
	}
	return full
}

// add enters a mapping that is about to send some datagrams to port.
func (t *table) add(m *mapping, port uint16, datagrams int) {
	local := t.local(m.key.client.Addr())
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.sharesOf(m.key.client.Addr(), local) {
		if s.group != &t.all {
			t.sources[s.source] = s.group
		}
		m.groups = append(m.groups, membershipOf{group: s.group, source: s.source})
	}
	m.onlyNames = true
	m.asks(port, datagrams)
	m.class, m.used = m.classNow(), t.now()
	m.enter()
	t.byKey[m.key] = m
	t.own[m.ownSocket()] = true
	t.locals[m.key.local]++
	t.gauge(m).Add(1)
	t.wake(m.used + t.timeouts[m.class])
}

// remove takes a mapping out; the caller closes it. mu is held.
func (t *table) remove(m *mapping) {
	delete(t.byKey, m.key)
	delete(t.own, m.ownSocket())
	if t.locals[m.key.local]--; t.locals[m.key.local] == 0 {
		delete(t.locals, m.key.local)
	}
	m.leave()
	for _, g := range m.groups {
		if g.group.size == 0 && g.group != &t.all {
			delete(t.sources, g.source)
		}
	}
	t.gauge(m).Add(-1)
}

// wake has the timer fire at the given time or before. mu is held.
func (t *table) wake(at time.Duration) {
	if t.wakeAt == 0 || at < t.wakeAt {
		t.wakeAt = at
		t.timer.Reset(at - t.now())
	}
}

// serve ends idle mappings until the table is closed. It sleeps as long as there are none.
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
	for class := range idleClasses {
		for m := t.all.front(class); m != nil; m = t.all.front(class) {
			if deadline := m.used + t.timeouts[class]; deadline > now {
				t.wake(deadline)
				break
			}
			t.remove(m)
			idle = append(idle, m)
		}
	}
	t.mu.Unlock()
	for _, m := range idle {
		m.close()
	}
}

// close ends all mappings, and serve. Nothing is added after it.
func (t *table) close() {
	close(t.closed)
	var all []*mapping
	t.mu.Lock()
	for _, m := range t.byKey {
		t.remove(m)
		all = append(all, m)
	}
	t.mu.Unlock()
	for _, m := range all {
		m.close()
	}
}

func (t *table) gauge(m *mapping) *atomic.Int64 {
	if m.key.echo {
		return &t.stats.EchoFlows
	}
	return &t.stats.UDPFlows
}
