//go:build linux

package flows

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
	"syntap/stack/nat/hostsock"
	"syntap/stack/nat/mappings"
	tunflow "syntap/tun/flow"
)

// Mapping is the mapping whose flows a [Set] has.
type Mapping interface {
	// TakeMemory charges the client for n bytes, or returns the counter of the limit that is
	// reached. GiveMemory ends a charge.
	TakeMemory(n int64) (full *atomic.Uint64)
	GiveMemory(n int64)
	// SendFrame sends the datagrams of a frame. Where the host has not sent all of them it returns
	// how many it has, and their payload in bytes.
	SendFrame(out *hostsock.Msghdr, f *gso.Frame, to netip.AddrPort) (
		packets, bytes int, errno syscall.Errno)
}

// Set are the open flows of a mapping. Without Init its lock Sending is of use alone.
type Set struct {
	Sending sync.Mutex // held by the goroutine that sends; taken before mu

	entry    *mappings.Entry
	mapping  Mapping
	recorder *Recorder

	mu      sync.Mutex
	byEnd   queue // by far end
	queries queue // of DNS
	lastOut *Flow // most datagrams belong to the flow of the one before
	lastIn  *Flow // of byEnd
	closed  bool
}

// Init has the flows of a mapping recorded.
func (s *Set) Init(r *Recorder, e *mappings.Entry, m Mapping) {
	s.recorder, s.entry, s.mapping = r, e, m
}

// Bounds of the flows of one mapping. Beyond them the one that has been idle longest ends.
const (
	MaxFlows   = 1024
	MaxQueries = 4096
)

// queue is flows by key, and in a list with the longest idle first.
type queue struct {
	byKey map[Key]*Flow
	all   list.List
}

func (q *queue) add(l *Flow) {
	if q.byKey == nil {
		q.byKey = make(map[Key]*Flow)
	}
	q.byKey[l.key] = l
	l.place = q.all.PushBack(l)
}

func (q *queue) oldest() *Flow {
	if e := q.all.Front(); e != nil {
		return e.Value.(*Flow)
	}
	return nil
}

// queueOf returns the queue that a flow belongs to.
func (s *Set) queueOf(k *Key) (q *queue, limit int) {
	if k.Query {
		return &s.queries, MaxQueries
	}
	return &s.byEnd, MaxFlows
}

// find returns the open flow of a key, or nil. mu is held.
func (s *Set) find(k *Key) *Flow {
	q, _ := s.queueOf(k)
	return q.byKey[*k]
}

// use notes that a flow is in use. mu is held.
func (s *Set) use(l *Flow, now time.Duration) {
	l.used = max(l.used, now)
	if q, _ := s.queueOf(&l.key); q.all.Back() != l.place {
		q.all.MoveToBack(l.place)
	}
}

// end takes a flow out and returns it; the caller reports it without the lock. It returns nil for a
// flow that is not admitted yet: then the end is for the caller of admit to report. mu is held.
func (s *Set) end(l *Flow) *Flow {
	q, _ := s.queueOf(&l.key)
	delete(q.byKey, l.key)
	q.all.Remove(l.place)
	if s.lastOut == l {
		s.lastOut = nil
	}
	if s.lastIn == l {
		s.lastIn = nil
	}
	l.ended, l.passing = true, false
	l.dropHeld(0, s.recorder.o.DropUnrecorded)
	s.recorder.forget(l)
	s.give(&l.charge)
	s.give(&l.helloRoom)
	s.give(&l.checkRoom)
	s.recorder.o.Open.Add(-1)
	if !l.admitted {
		return nil
	}
	return l
}

// EndIdle ends the flows that have been idle since a time.
func (s *Set) EndIdle(since time.Duration) {
	s.Sending.Lock()
	defer s.Sending.Unlock()
	s.recorder.report(s.endSince(since)...)
}

func (s *Set) endSince(since time.Duration) (ended []*Flow) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, q := range []*queue{&s.byEnd, &s.queries} {
		for l := q.oldest(); l != nil && l.used <= since; l = q.oldest() {
			ended = append(ended, s.end(l))
		}
	}
	return ended
}

// Close ends all flows. None can be opened after it. Sending is held.
func (s *Set) Close() {
	if s.recorder != nil {
		s.recorder.report(s.endAll()...)
	}
}

func (s *Set) endAll() (ended []*Flow) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, q := range []*queue{&s.byEnd, &s.queries} {
		for l := q.oldest(); l != nil; l = q.oldest() {
			ended = append(ended, s.end(l))
		}
	}
	return ended
}

// Unroutable notes that the host has no route for a flow, and reports whether it is open.
func (s *Set) Unroutable(k *Key) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.find(k)
	if l != nil {
		l.note(tunflow.NotReachable)
	}
	return l != nil
}

// Heard counts datagrams from a far end.
func (s *Set) Heard(server netip.AddrPort, packets, bytes int, now time.Duration) {
	if !s.heard(server, packets, bytes, now) {
		s.recorder.o.Unsolicited.Add(uint64(packets))
	}
}

// heard is Heard, and reports whether the client has a flow with the far end.
func (s *Set) heard(server netip.AddrPort, packets, bytes int, now time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lastIn
	if l == nil || l.key.Server != server {
		if l = s.byEnd.byKey[Key{Server: server}]; l == nil {
			return false
		}
		s.lastIn = l
	}
	s.use(l, now)
	l.inPackets += uint64(packets)
	l.inBytes += uint64(bytes)
	l.outcome = tunflow.Answered
	return true
}

// Answered ends the query to which a far end sends a response of n bytes, if there is one. Of that
// it calls answer with the query's Datagram before it reports the end.
func (s *Set) Answered(
	server netip.AddrPort, d *tunflow.DNS, n int, now time.Duration, answer func(*tunflow.Datagram),
) bool {
	l := s.answered(server, d, n, now)
	if l == nil {
		return false
	}
	answer(l.opened)
	s.recorder.report(l)
	return true
}

func (s *Set) answered(server netip.AddrPort, d *tunflow.DNS, n int, now time.Duration) *Flow {
	s.mu.Lock()
	defer s.mu.Unlock()
	var l *Flow
	if len(d.Queries) > 0 {
		l = s.queries.byKey[Key{server, true, d.ID, d.Queries[0]}]
	} else { // of an error, perhaps (RFC 1035 §4.1.1)
		l = s.queryWith(server, d.ID)
	}
	if l == nil || l.outPackets == 0 { // it cannot answer a query that has not left
		return nil
	}
	l.used = max(l.used, now)
	l.inPackets++
	l.inBytes += uint64(n)
	l.outcome, l.response = tunflow.Answered, d
	return s.end(l)
}

// queryWith returns the open query to a far end with an identifier, or nil. mu is held.
func (s *Set) queryWith(server netip.AddrPort, id uint16) *Flow {
	for k, l := range s.queries.byKey {
		if k.ID == id && k.Server == server {
			return l
		}
	}
	return nil
}

// Refused notes that an ICMP error came back from server for a message of the client's. A query
// ends with that.
func (s *Set) Refused(
	server netip.AddrPort, message []byte, o tunflow.Outcome, now time.Duration,
) {
	if l := s.refused(server, message, o, now); l != nil {
		s.recorder.report(l)
	}
}

func (s *Set) refused(
	server netip.AddrPort, message []byte, o tunflow.Outcome, now time.Duration,
) (ended *Flow) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(message) >= 2 && server.Port() == inspect.PortDNS {
		l := s.queryWith(server, binary.BigEndian.Uint16(message))
		if l != nil && l.outPackets > 0 {
			s.use(l, now)
			l.note(o)
			return s.end(l)
		}
	}
	if l := s.byEnd.byKey[Key{Server: server}]; l != nil {
		s.use(l, now)
		l.note(o)
	}
	return nil
}
