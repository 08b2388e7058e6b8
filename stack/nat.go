//go:build linux

package stack

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// nat is the table of mappings. A mapping is added and looked up by the read loop alone; the poller
// notes answers, and the goroutine of serve removes what is idle.
type nat struct {
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

// natLimits are the most mappings there may be.
type natLimits struct{ all, perSource int }

// ownSocket is what a socket of ours is bound to, or its echo identifier.
type ownSocket struct {
	addr netip.AddrPort
	echo bool
}

func (m *mapping) ownSocket() ownSocket { return ownSocket{m.own, m.key.echo} }

// owns reports whether a packet comes from a socket of ours.
func (n *nat) owns(s ownSocket) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.own[s]
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

func newNAT(o *Options, local func(netip.Addr) bool, stats *Stats) *nat {
	n := &nat{
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
	n.timer.Stop()
	n.configure(o)
	return n
}

// configure puts the limits and times of o in force.
func (n *nat) configure(o *Options) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.limits = natLimits{all: o.UDPFlows, perSource: o.UDPFlowsPerSource}
	n.timeouts = [idleClasses]time.Duration{
		unanswered: o.UDPTimeout, answered: o.UDPTimeout, nameLookup: min(nameLookupTimeout, o.UDPTimeout), echoed: o.ICMPTimeout,
	}
	if len(n.byKey) > 0 {
		n.wake(n.now())
	}
}

func (n *nat) now() time.Duration { return time.Since(n.epoch) }

// find returns the mapping of a client endpoint, which is about to send some datagrams to port, or
// nil.
func (n *nat) find(key mappingKey, port uint16, datagrams int, now time.Duration) *mapping {
	n.mu.Lock()
	defer n.mu.Unlock()
	m := n.byKey[key]
	if m != nil {
		m.asks(port, datagrams)
		n.use(m, now)
	}
	return m
}

// mappingsOf returns the mappings of a client endpoint, and does not use them.
func (n *nat) mappingsOf(client netip.AddrPort, echo bool) (all []*mapping) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for local := range n.locals {
		if m := n.byKey[mappingKey{client: client, echo: echo, local: local}]; m != nil {
			all = append(all, m)
		}
	}
	return all
}

// heard notes that somebody has sent datagrams to the client.
func (n *nat) heard(m *mapping, datagrams int, now time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.byKey[m.key] != m {
		return // already removed
	}
	m.answered = true
	m.questions = max(0, m.questions-datagrams)
	n.use(m, now)
}

// use notes that a mapping is in use, and what for. mu is held.
func (n *nat) use(m *mapping, now time.Duration) {
	m.used = now
	if class := m.classNow(); class != m.class {
		m.leave()
		m.class = class
		m.enter()
		n.wake(now + n.timeouts[class])
		return
	}
	m.stay()
}

// makeRoom has there be room for a mapping of a client, or returns the counter of what there is too
// much of. Where there is none it takes the place of the mapping that has been idle longest of
// those that may make room.
func (n *nat) makeRoom(client netip.Addr) (full *atomic.Uint64) {
	local := n.local(client)
	n.mu.Lock()
	var victims []*mapping
	for _, s := range n.sharesOf(client, local) {
		if s.group.size < s.limit {
			continue
		}
		victim := s.group.oldest()
		if victim == nil {
			full = s.full
			break
		}
		n.remove(victim)
		victims = append(victims, victim)
	}
	n.mu.Unlock()
	for _, m := range victims {
		n.stats.EvictedFlows.Add(1)
		m.close()
	}
	return full
}

// add enters a mapping that is about to send some datagrams to port.
func (n *nat) add(m *mapping, port uint16, datagrams int) {
	local := n.local(m.key.client.Addr())
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range n.sharesOf(m.key.client.Addr(), local) {
		if s.group != &n.all {
			n.sources[s.source] = s.group
		}
		m.groups = append(m.groups, membershipOf{group: s.group, source: s.source})
	}
	m.onlyNames = true
	m.asks(port, datagrams)
	m.class, m.used = m.classNow(), n.now()
	m.enter()
	n.byKey[m.key] = m
	n.own[m.ownSocket()] = true
	n.locals[m.key.local]++
	n.gauge(m).Add(1)
	n.wake(m.used + n.timeouts[m.class])
}

// remove takes a mapping out; the caller closes it. mu is held.
func (n *nat) remove(m *mapping) {
	delete(n.byKey, m.key)
	delete(n.own, m.ownSocket())
	if n.locals[m.key.local]--; n.locals[m.key.local] == 0 {
		delete(n.locals, m.key.local)
	}
	m.leave()
	for _, g := range m.groups {
		if g.group.size == 0 && g.group != &n.all {
			delete(n.sources, g.source)
		}
	}
	n.gauge(m).Add(-1)
}

// wake has the timer fire at the given time or before. mu is held.
func (n *nat) wake(at time.Duration) {
	if n.wakeAt == 0 || at < n.wakeAt {
		n.wakeAt = at
		n.timer.Reset(at - n.now())
	}
}

// serve ends idle mappings until the table is closed. It sleeps as long as there are none.
func (n *nat) serve() {
	for {
		select {
		case <-n.timer.C:
			n.expire()
		case <-n.closed:
			return
		}
	}
}

func (n *nat) expire() {
	var idle []*mapping
	n.mu.Lock()
	now := n.now()
	n.wakeAt = 0
	for class := range idleClasses {
		for m := n.all.front(class); m != nil; m = n.all.front(class) {
			if deadline := m.used + n.timeouts[class]; deadline > now {
				n.wake(deadline)
				break
			}
			n.remove(m)
			idle = append(idle, m)
		}
	}
	n.mu.Unlock()
	for _, m := range idle {
		m.close()
	}
}

// close ends all mappings, and serve. Nothing is added after it.
func (n *nat) close() {
	close(n.closed)
	var all []*mapping
	n.mu.Lock()
	for _, m := range n.byKey {
		n.remove(m)
		all = append(all, m)
	}
	n.mu.Unlock()
	for _, m := range all {
		m.close()
	}
}

func (n *nat) gauge(m *mapping) *atomic.Int64 {
	if m.key.echo {
		return &n.stats.EchoFlows
	}
	return &n.stats.UDPFlows
}
