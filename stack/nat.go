//go:build linux

package stack

import (
	"container/list"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// nat is the table of mappings. A mapping is added and looked up by the read loop alone; the poller notes answers, and
// the goroutine of serve removes what is idle.
type nat struct {
	stats    *Stats
	timeouts [idleClasses]time.Duration
	epoch    time.Time // of the clock that now reads

	identBase uint16 // first of the echo identifiers on raw sockets; random, since other processes choose some too

	mu     sync.Mutex // guards the fields below; never held while closing a socket
	limit  int
	byKey  map[mappingKey]*mapping
	ports  map[ownPort]bool       // of UDP sockets
	queues [idleClasses]list.List // the *mapping longest idle first
	wakeAt time.Duration          // when timer fires; 0 = it does not

	timer  *time.Timer
	closed chan struct{} // closed by close, ends serve
}

// ownPort is a port that a socket of ours is bound to.
type ownPort struct {
	port uint16
	v6   bool
}

func (m *mapping) ownPort() ownPort { return ownPort{m.port, m.key.v6} }

// owns reports whether a socket of ours has the port.
func (n *nat) owns(p ownPort) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ports[p]
}

// idleClass says how long a mapping lives without a datagram.
type idleClass uint8

const (
	unanswered idleClass = iota // echoes stay here
	answered
	nameLookup // port 53 alone: one question, one answer (RFC 4787 §4.3 allows less for well-known ports)
	idleClasses
)

const portDNS = 53

func newNAT(limit int, stats *Stats) *nat {
	n := &nat{
		limit:    limit,
		stats:    stats,
		timeouts: [idleClasses]time.Duration{unanswered: 30 * time.Second, answered: 120 * time.Second, nameLookup: 10 * time.Second},
		epoch:    time.Now(),

		identBase: uint16(rand.Uint32()),

		byKey:  make(map[mappingKey]*mapping),
		ports:  make(map[ownPort]bool),
		timer:  time.NewTimer(0),
		closed: make(chan struct{}),
	}
	n.timer.Stop()
	return n
}

func (n *nat) setLimit(limit int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.limit = limit
}

func (n *nat) now() time.Duration { return time.Since(n.epoch) }

// find returns the mapping of a client endpoint, which is about to send to port, or nil.
func (n *nat) find(key mappingKey, port uint16) *mapping {
	n.mu.Lock()
	defer n.mu.Unlock()
	m := n.byKey[key]
	switch {
	case m == nil:
	case m.class == nameLookup && port != portDNS:
		n.use(m, unanswered)
	default:
		n.use(m, m.class)
	}
	return m
}

// lookUp returns a mapping, or nil, and does not use it.
func (n *nat) lookUp(key mappingKey) *mapping {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.byKey[key]
}

// heard notes that somebody has sent to the client.
func (n *nat) heard(m *mapping) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.byKey[m.key] != m: // already removed
	case m.class == unanswered && !m.key.echo:
		n.use(m, answered)
	default:
		n.use(m, m.class)
	}
}

// use puts a mapping at the end of a queue. mu is held.
func (n *nat) use(m *mapping, class idleClass) {
	m.used = n.now()
	if m.class == class {
		n.queues[class].MoveToBack(m.place)
		return
	}
	n.queues[m.class].Remove(m.place)
	m.class, m.place = class, n.queues[class].PushBack(m)
}

// makeRoom reports whether there is room for a mapping. In a full table it takes that of the one that has been idle
// longest of those that nobody has answered or that ask for names; connections that are alive stay.
func (n *nat) makeRoom() bool {
	n.mu.Lock()
	if len(n.byKey) < n.limit {
		n.mu.Unlock()
		return true
	}
	victim := n.oldest(unanswered)
	if m := n.oldest(nameLookup); victim == nil || m != nil && m.used < victim.used {
		victim = m
	}
	if victim != nil {
		n.remove(victim)
	}
	n.mu.Unlock()
	if victim == nil {
		return false
	}
	n.stats.EvictedFlows.Add(1)
	victim.close()
	return true
}

// oldest returns the mapping of a class that has been idle longest, or nil. mu is held.
func (n *nat) oldest(class idleClass) *mapping {
	if e := n.queues[class].Front(); e != nil {
		return e.Value.(*mapping)
	}
	return nil
}

// add enters a mapping that is about to send to port.
func (n *nat) add(m *mapping, port uint16) {
	n.mu.Lock()
	defer n.mu.Unlock()
	m.class = unanswered
	if port == portDNS && !m.key.echo {
		m.class = nameLookup
	}
	m.used = n.now()
	m.place = n.queues[m.class].PushBack(m)
	n.byKey[m.key] = m
	if !m.key.echo {
		n.ports[m.ownPort()] = true
	}
	n.gauge(m).Add(1)
	n.wake(m.used + n.timeouts[m.class])
}

// remove takes a mapping out; the caller closes it. mu is held.
func (n *nat) remove(m *mapping) {
	delete(n.byKey, m.key)
	delete(n.ports, m.ownPort())
	n.queues[m.class].Remove(m.place)
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
		for m := n.oldest(class); m != nil; m = n.oldest(class) {
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
