//go:build linux

package stack

import (
	"net/netip"
	"time"
)

// outboundSYN handles a client's SYN and reports whether netstack is to see it now. A new SYN starts a dial and is held
// back until the far side has answered: dial before accept. frame is the caller's and is copied.
func (s *Stack) outboundSYN(key flowKey, isn uint32, frame ...[]byte) (deliver bool) {
	s.mu.Lock()
	if s.upstreams[upstream{local: key.client, remote: key.server}] {
		s.mu.Unlock()
		s.stats.DropOwnSocket.Add(1)
		return false
	}
	if f := s.flows[key]; f != nil {
		return s.repeatedSYN(f, isn, frame) // unlocks
	}
	f := s.newAttempt(key, isn, join(frame))
	s.mu.Unlock()
	if f != nil {
		s.dial(f)
	}
	return false
}

func join(frame [][]byte) []byte {
	var all []byte
	for _, b := range frame {
		all = append(all, b...)
	}
	return all
}

// repeatedSYN handles a SYN on a 4-tuple in use. It is called with mu held and releases it.
func (s *Stack) repeatedSYN(f *flow, isn uint32, frame [][]byte) (deliver bool) {
	phase, again := f.phase.Load(), f.isn == isn
	inUse := phase == open || phase == closing
	retry := again && phase == dialling && f.fd < 0 && !f.trying
	f.trying = f.trying || retry
	if inUse && f.next != nil && f.next.isn == isn {
		s.mu.Unlock()
		return true // netstack's to answer: challenge ACK (RFC 5961 §4)
	}
	if inUse || !again {
		f.next = &nextSYN{isn: isn, packet: join(frame), at: time.Now()}
	}
	s.mu.Unlock()
	switch {
	case inUse:
	case !again: // the client has given the attempt up
		s.cancel(f)
	case phase == answering:
		return true // our SYN-ACK was lost
	case retry:
		s.dial(f)
	}
	return false
}

// nextSYN is a SYN that came while its 4-tuple was in use. Mostly that is just ending: netstack, which works on segments
// in its own time, may not yet have seen the RST or the last ACK that the client has sent right before. If it ends within
// nextSYNAge, the SYN begins the next attempt; after that the client sends another one.
type nextSYN struct {
	isn    uint32
	packet []byte
	at     time.Time
}

const nextSYNAge = time.Second // when clients send a SYN again (RFC 6298 §2)

// newAttempt enters a flow that is to be dialled in the table, or returns nil and counts why not. mu is held.
func (s *Stack) newAttempt(key flowKey, isn uint32, syn []byte) *flow {
	if s.stopping {
		return nil
	}
	if len(s.flows) >= s.o.TCPFlows {
		s.stats.DropTCPFlows.Add(1)
		return nil
	}
	if !s.roomHalfOpen(key.client.Addr()) { // now: later it may answer, see connected
		s.stats.DropHalfOpen.Add(1)
		return nil
	}
	f := newFlow(s, key, isn, syn)
	f.trying = true
	s.noteDSCP(f, dscpOf(syn))
	s.flows[key] = f
	s.live.Add(1)
	s.stats.TCPFlows.Add(1)
	s.setDeadline(f, s.o.DialTimeout)
	return f
}

// roomHalfOpen reports whether one more attempt may wait for its client. mu is held.
func (s *Stack) roomHalfOpen(client netip.Addr) bool {
	return s.stats.HalfOpen.Load() < int64(s.o.HalfOpen) && s.halfOpen[client] < s.o.HalfOpenPerSource
}

// beginHalfOpen takes a place of attempts that wait for their client, if there is one. mu is held.
func (s *Stack) beginHalfOpen(client netip.Addr) bool {
	if !s.roomHalfOpen(client) {
		return false
	}
	s.stats.HalfOpen.Add(1)
	s.halfOpen[client]++
	return true
}

// endHalfOpen gives the place back. mu is held.
func (s *Stack) endHalfOpen(client netip.Addr) {
	s.stats.HalfOpen.Add(-1)
	if s.halfOpen[client]--; s.halfOpen[client] == 0 {
		delete(s.halfOpen, client)
	}
}

// forget takes a flow that is over out of the table, and begins the next one of its 4-tuple if the client waits for it.
func (s *Stack) forget(f *flow) {
	s.mu.Lock()
	delete(s.flows, f.key)
	f.phase.Store(gone)
	s.noteDSCP(f, 0)
	if f.timer != nil {
		f.timer.Stop()
	}
	s.stats.TCPFlows.Add(-1)
	var next *flow
	if n := f.next; n != nil && time.Since(n.at) < nextSYNAge {
		next = s.newAttempt(f.key, n.isn, n.packet)
	}
	s.mu.Unlock()
	s.addresses.leave(f)
	if next != nil {
		s.dial(next)
	}
	s.live.Done()
}
