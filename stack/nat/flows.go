//go:build linux

package nat

import (
	"container/list"
	"encoding/binary"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"syntap/stack/inspect"
	"syntap/stack/nat/gso"
	tunflow "syntap/tun/flow"
)

// flows are the open flows of a mapping.
type flows struct {
	mu      sync.Mutex
	byEnd   flowSet // by far end
	queries flowSet // of DNS
	lastOut *flow   // most datagrams belong to the flow of the one before
	lastIn  *flow   // of byEnd
	closed  bool
}

// Bounds of the flows of one mapping. Beyond them the one that has been idle longest ends.
const (
	maxFlows   = 1024
	maxQueries = 4096
)

// flowSet is flows by key, and in a queue with the longest idle first.
type flowSet struct {
	byKey map[flowKey]*flow
	queue list.List
}

func (s *flowSet) add(l *flow) {
	if s.byKey == nil {
		s.byKey = make(map[flowKey]*flow)
	}
	s.byKey[l.key] = l
	l.place = s.queue.PushBack(l)
}

func (s *flowSet) oldest() *flow {
	if e := s.queue.Front(); e != nil {
		return e.Value.(*flow)
	}
	return nil
}

// setOf returns the set that a flow belongs to.
func (s *flows) setOf(k *flowKey) (set *flowSet, limit int) {
	if k.query {
		return &s.queries, maxQueries
	}
	return &s.byEnd, maxFlows
}

// find returns the open flow of a key, or nil. mu is held.
func (s *flows) find(k *flowKey) *flow {
	set, _ := s.setOf(k)
	return set.byKey[*k]
}

// use notes that a flow is in use. mu is held.
func (s *flows) use(l *flow, now time.Duration) {
	l.used = max(l.used, now)
	if set, _ := s.setOf(&l.key); set.queue.Back() != l.place {
		set.queue.MoveToBack(l.place)
	}
}

// add enters a flow, and ends others where there is no room. It returns those, or the counter of
// the limit that is reached.
func (s *flows) add(l *flow) (ended []*flow, full *atomic.Uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := l.mapping
	if s.closed {
		return nil, &m.stats.DropSend
	}
	set, limit := s.setOf(&l.key)
	if len(set.byKey) >= limit {
		ended = append(ended, s.end(set.oldest()))
	}
	full = m.take(&l.charge, l.memory())
	for _, other := range []*flowSet{set, &s.byEnd, &s.queries} {
		if oldest := other.oldest(); full != nil && oldest != nil {
			ended = append(ended, s.end(oldest))
			full = m.take(&l.charge, l.memory())
		}
	}
	if full == nil {
		set.add(l)
		m.recorder.enter(l)
		m.stats.Flows.Add(1)
	}
	return ended, full
}

// admit notes whether Options.Opened has admitted a flow. It reports whether the caller is to
// report the end of the flow, which came before.
func (s *flows) admit(l *flow, admitted bool) (over bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.admitted = admitted
	switch {
	case l.ended && admitted:
		return true
	case !l.ended && !admitted:
		s.end(l)
	}
	return false
}

// end takes a flow out and returns it; the caller reports it without the lock. It returns nil for a
// flow that is not admitted yet: then the end is for the caller of admit to report. mu is held.
func (s *flows) end(l *flow) *flow {
	set, _ := s.setOf(&l.key)
	delete(set.byKey, l.key)
	set.queue.Remove(l.place)
	if s.lastOut == l {
		s.lastOut = nil
	}
	if s.lastIn == l {
		s.lastIn = nil
	}
	l.ended, l.passing = true, false
	m := l.mapping
	l.dropHeld(0, &m.stats.DropUnrecorded)
	m.recorder.forget(l)
	m.give(&l.charge)
	m.give(&l.helloRoom)
	if l.check != nil {
		m.give(&l.check.room)
	}
	m.stats.Flows.Add(-1)
	if !l.admitted {
		return nil
	}
	return l
}

// endIdle ends and returns the flows that have been idle since a time.
func (s *flows) endIdle(since time.Duration) (ended []*flow) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, set := range []*flowSet{&s.byEnd, &s.queries} {
		for l := set.oldest(); l != nil && l.used <= since; l = set.oldest() {
			ended = append(ended, s.end(l))
		}
	}
	return ended
}

// close ends and returns all flows. None can be added after it.
func (s *flows) close() (ended []*flow) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, set := range []*flowSet{&s.byEnd, &s.queries} {
		for l := set.oldest(); l != nil; l = set.oldest() {
			ended = append(ended, s.end(l))
		}
	}
	return ended
}

// passage says what becomes of a frame.
type passage uint8

const (
	unopened  passage = iota // it has no flow yet
	kept                     // it is held, or dropped and counted
	counted                  // it is to be sent, and counted so
	doubtful                 // it is to be asked whether another socket has sent it
	unnamed                  // ClientHellos in it are to be looked at
	forbidden                // none of its flow leaves
)

// pass finds the flow of a frame, and counts or holds the frame there.
func (s *flows) pass(f *gso.Frame, target netip.AddrPort, id *identity) (*flow, passage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lastOut
	if l == nil || l.key != id.key {
		if l = s.find(&id.key); l == nil {
			return nil, unopened
		}
		s.lastOut = l
	}
	if l.doubts(id.now) {
		return l, doubtful
	}
	l.sent = id.now
	s.use(l, id.now)
	switch {
	case l.denied:
		return l, forbidden
	case l.check != nil && !id.checked:
		return l, unnamed
	}
	if !l.passing {
		l.hold(f, target)
		return l, kept
	}
	l.out.add(f.Datagrams(), f.Payload())
	return l, counted
}

// unroutable notes that the host has no route for a flow, and reports whether it is open.
func (s *flows) unroutable(k *flowKey) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.find(k)
	if l != nil {
		l.note(tunflow.NotReachable)
	}
	return l != nil
}

// failed notes that the host has not sent packets and bytes of a flow.
func (s *flows) failed(l *flow, packets, bytes int, errno syscall.Errno) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !l.ended {
		l.failed(packets, bytes, errno)
	}
}

// heard counts datagrams from a far end, or reports that the client has no flow with it.
func (s *flows) heard(server netip.AddrPort, packets, bytes int, now time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lastIn
	if l == nil || l.key.server != server {
		if l = s.byEnd.byKey[flowKey{server: server}]; l == nil {
			return false
		}
		s.lastIn = l
	}
	s.use(l, now)
	l.in.add(packets, bytes)
	l.outcome = tunflow.Answered
	return true
}

// answered ends and returns the query to which a far end sends a response of n bytes, or nil.
func (s *flows) answered(server netip.AddrPort, d *tunflow.DNS, n int, now time.Duration) *flow {
	s.mu.Lock()
	defer s.mu.Unlock()
	var l *flow
	if len(d.Queries) > 0 {
		l = s.queries.byKey[flowKey{server, true, d.ID, d.Queries[0]}]
	} else { // of an error, perhaps (RFC 1035 §4.1.1)
		l = s.queryWith(server, d.ID)
	}
	if l == nil || l.out.packets == 0 { // it cannot answer a query that has not left
		return nil
	}
	l.used = max(l.used, now)
	l.in.add(1, n)
	l.outcome, l.response = tunflow.Answered, d
	return s.end(l)
}

// queryWith returns the open query to a far end with an identifier, or nil. mu is held.
func (s *flows) queryWith(server netip.AddrPort, id uint16) *flow {
	for k, l := range s.queries.byKey {
		if k.id == id && k.server == server {
			return l
		}
	}
	return nil
}

// refused notes that an ICMP error came back from server for a message of the client's. A query
// ends with that, and is returned.
func (s *flows) refused(
	server netip.AddrPort, message []byte, o tunflow.Outcome, now time.Duration,
) (ended *flow) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(message) >= 2 && server.Port() == inspect.PortDNS {
		l := s.queryWith(server, binary.BigEndian.Uint16(message))
		if l != nil && l.out.packets > 0 {
			s.use(l, now)
			l.note(o)
			return s.end(l)
		}
	}
	if l := s.byEnd.byKey[flowKey{server: server}]; l != nil {
		s.use(l, now)
		l.note(o)
	}
	return nil
}
