//go:build linux

package flows

import (
	"net/netip"
	"sync/atomic"
	"time"

	"syntap/stack/nat/gso"
	tunflow "syntap/tun/flow"
)

// Passage is the decision on a frame.
type Passage uint8

// The values of [Passage].
const (
	Unopened  Passage = iota // it has no flow yet: Open
	Kept                     // it is held, or dropped and counted
	Counted                  // it is to be sent, and counted so
	Doubtful                 // perhaps another socket has sent it: Changed
	Unnamed                  // ClientHellos in it are to be looked at: CheckName
	Forbidden                // none of its flow leaves
)

// Pass finds the flow of a frame that arrived at the time now, and counts or holds the frame there.
// checked means that CheckName has checked it. Sending is held.
func (s *Set) Pass(
	f *gso.Frame, target netip.AddrPort, k *Key, now time.Duration, checked bool,
) (*Flow, Passage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lastOut
	if l == nil || l.key != *k {
		if l = s.find(k); l == nil {
			return nil, Unopened
		}
		s.lastOut = l
	}
	if l.doubts(now) {
		return l, Doubtful
	}
	l.sent = now
	s.use(l, now)
	switch {
	case l.denied:
		return l, Forbidden
	case l.check != nil && !checked:
		return l, Unnamed
	}
	if !l.passing {
		l.hold(f, target)
		return l, Kept
	}
	l.outPackets += uint64(f.Datagrams())
	l.outBytes += uint64(f.Payload())
	return l, Counted
}

// Open begins a flow, or returns the counter of the limit that is reached. Admit must follow. If
// there is no room, other flows end.
func (s *Set) Open(k Key, d *tunflow.Datagram, now time.Duration) (l *Flow, full *atomic.Uint64) {
	l = &Flow{key: k, set: s, opened: d, began: now, used: now, sent: now}
	s.Sending.Lock() // so that no flow ends with a datagram half sent
	ended, full := s.add(l)
	s.Sending.Unlock()
	s.recorder.report(ended...)
	return l, full
}

// Admit asks Options.Opened about a flow.
func (l *Flow) Admit() tunflow.Admission {
	r := l.set.recorder
	admission := r.o.Opened(l.opened)
	if l.set.admit(l, admission == tunflow.Admit) {
		r.report(l)
	}
	if admission == tunflow.Admit {
		l.beginCheck()
	}
	return admission
}

// add adds a flow, and ends others if there is no room. It returns those, or the counter of the
// limit that is reached.
func (s *Set) add(l *Flow) (ended []*Flow, full *atomic.Uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, s.recorder.o.DropClosed
	}
	q, limit := s.queueOf(&l.key)
	if len(q.byKey) >= limit {
		ended = append(ended, s.end(q.oldest()))
	}
	full = s.take(&l.charge, l.memory())
	for _, other := range []*queue{q, &s.byEnd, &s.queries} {
		if oldest := other.oldest(); full != nil && oldest != nil {
			ended = append(ended, s.end(oldest))
			full = s.take(&l.charge, l.memory())
		}
	}
	if full == nil {
		q.add(l)
		s.recorder.enter(l)
		s.recorder.o.Open.Add(1)
	}
	return ended, full
}

// admit notes whether Options.Opened has admitted a flow. It returns true if the flow has ended
// already and the caller must report that.
func (s *Set) admit(l *Flow, admitted bool) (over bool) {
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

// hold keeps a frame until the flow is on record, or counts it if it cannot. Set.mu is held.
func (l *Flow) hold(f *gso.Frame, target netip.AddrPort) {
	s, size := l.set, f.Headers.Length
	datagrams := f.Datagrams()
	for i := range l.held {
		datagrams += l.held[i].frame.Datagrams()
	}
	if len(l.held) > 0 && (datagrams > MaxHeld || l.heldSize+size > HeldBytes) {
		f.Drop(s.recorder.o.DropUnrecorded)
		return
	}
	h := held{target: target}
	if full := s.take(&h.charge, int64(HeldMemory+size)); full != nil {
		f.Drop(full)
		return
	}
	h.frame = f.Clone()
	l.held = append(l.held, h)
	l.heldSize += size
	if !l.recorded || l.naming {
		s.recorder.await(l)
	}
}
