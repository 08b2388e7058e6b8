//go:build linux

package stack

import (
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// outboundSYN handles a client's SYN and reports whether netstack is to see it now. A new SYN
// starts a dial and is held back until the far side has answered: dial before accept. frame is the
// caller's and is copied.
func (s *Stack) outboundSYN(key flowKey, isn uint32, frame ...[]byte) (deliver bool) {
	s.mu.Lock()
	if s.upstreams[upstream{local: key.client, remote: key.server}] {
		s.mu.Unlock()
		s.stats.DropOwnSocket.Add(1)
		s.reportDropped(key, isn, unix.ELOOP)
		return false
	}
	if f := s.flows[key]; f != nil {
		return s.repeatedSYN(f, isn, frame) // unlocks
	}
	f := s.newAttempt(key, isn, keepSYN(frame))
	s.mu.Unlock()
	s.begin(f, key, isn)
	return false
}

// begin dials for a new attempt, or says that there is none.
func (s *Stack) begin(f *flow, key flowKey, isn uint32) {
	if f == nil {
		s.reportDropped(key, isn, unix.ENOBUFS)
		return
	}
	s.dial(f)
}

// charge has memory count the SYNs that a flow keeps, as they are now. mu is held.
func (s *Stack) charge(f *flow) {
	n := int64(flowMemory + len(f.syn))
	if f.next != nil {
		n += int64(len(f.next.packet))
	}
	f.payer.charge(n - f.fixed)
	f.fixed = n
}

// repeatedSYN handles a SYN on a 4-tuple in use. It is called with mu held and releases it.
func (s *Stack) repeatedSYN(f *flow, isn uint32, frame [][]byte) (deliver bool) {
	phase, again := f.phase.Load(), f.isn == isn
	inUse := phase == open || phase == closing || f.joined && !again
	retry := again && phase == dialling && f.fd < 0 && !f.trying
	f.trying = f.trying || retry
	waiting := inUse && f.next != nil && f.next.isn == isn
	if !waiting && (inUse || !again && phase != answering) {
		f.next = &nextSYN{isn: isn, packet: keepSYN(frame), at: time.Now()}
		s.charge(f)
	}
	s.mu.Unlock()
	switch {
	case phase == answering && again: // our SYN-ACK was lost
		return true
	case waiting, phase == answering && !inUse:
		s.challenge(f, keepSYN(frame))
	case inUse:
	case !again: // the client has given the attempt up
		s.cancel(f)
	case retry:
		s.dial(f)
	}
	return false
}

// challenge has netstack ask the client of a SYN with a new number whether it has given up the
// connection that netstack knows (RFC 5961 §4). It then sends a RST, and its SYN again. The stack
// does not begin the next connection by itself: connection tracking has to see that SYN.
//
// Netstack gets the SYN with the number of the connection's own. To the new number it would answer
// with a RST, which refuses the new connection, where that lies in the window of a handshake, and
// where a RST of the client is still in its queue.
func (s *Stack) challenge(f *flow, syn []byte) {
	renumberSYN(syn, f.isn)
	s.deliver(newPacket(syn))
}

// nextSYN is a SYN that came while its 4-tuple was in use. Mostly that is just ending: netstack,
// which works on segments in its own time, may not yet have seen the RST or the last ACK that the
// client has sent right before. If it ends within nextSYNAge, the SYN begins the next attempt;
// after that the client sends another one.
type nextSYN struct {
	isn    uint32
	packet []byte
	at     time.Time
}

const nextSYNAge = time.Second // when clients send a SYN again (RFC 6298 §2)

// newAttempt enters a flow that is to be dialled in the table, or returns nil and counts why not.
// mu is held.
func (s *Stack) newAttempt(key flowKey, isn uint32, syn []byte) *flow {
	if s.stopping {
		return nil
	}
	if len(s.flows) >= s.o.TCPFlows {
		s.stats.DropTCPFlows.Add(1)
		return nil
	}
	isLocal := s.o.Local(key.client.Addr())
	if full := s.halfOpenFull(key.client.Addr(), isLocal); full != nil { // now: later it may answer, see connected
		full.Add(1)
		return nil
	}
	payer, fixed := s.memory.payer(key.client.Addr(), isLocal), flowMemory+int64(len(syn))
	if full := payer.admit(fixed); full != nil {
		s.fullOf(full).Add(1)
		s.memory.leave(&payer)
		return nil
	}
	f := newFlow(s, key, isn, syn)
	f.payer, f.fixed = payer, fixed
	f.trying, f.isLocal = true, isLocal
	s.noteDSCP(f, dscpOf(syn))
	s.flows[key] = f
	s.live.Add(1)
	s.stats.TCPFlows.Add(1)
	s.setDeadline(f, s.o.DialTimeout)
	return f
}

// halfOpenFull returns what counts an attempt that may not wait for its client, because too many
// do; nil = it may. mu is held.
func (s *Stack) halfOpenFull(client netip.Addr, isLocal bool) *atomic.Uint64 {
	if s.stats.HalfOpen.Load() >= int64(s.o.HalfOpen) {
		return &s.stats.DropHalfOpen
	}
	sources, n := sourcesOf(client, isLocal)
	for i, source := range sources[:n] {
		if s.halfOpen[source] >= (i+1)*s.o.HalfOpenPerSource {
			return &s.stats.DropHalfOpenPerSource
		}
	}
	return nil
}

// sourcesOf returns what a client's attempts that wait for it count with: its address, and the IPv6
// network that one machine behind this host may have to itself, which has twice the limit of an
// address.
func sourcesOf(client netip.Addr, isLocal bool) (all [2]netip.Prefix, n int) {
	all[0] = netip.PrefixFrom(client, client.BitLen())
	if client.Is4() || isLocal {
		return all, 1
	}
	all[1], _ = client.Prefix(64) // fails for no IPv6 address
	return all, 2
}

// countHalfOpen takes a place of attempts that wait for their client, which there is, or gives it
// back. mu is held.
func (s *Stack) countHalfOpen(f *flow, delta int) {
	s.stats.HalfOpen.Add(int64(delta))
	sources, n := sourcesOf(f.key.client.Addr(), f.isLocal)
	for _, source := range sources[:n] {
		if s.halfOpen[source] += delta; s.halfOpen[source] == 0 {
			delete(s.halfOpen, source)
		}
	}
}

// forget takes a flow that is over out of the table, and begins the next one of its 4-tuple if the
// client waits for it.
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
	f.payer.charge(-f.fixed)
	f.leaveRoom()
	s.memory.leave(&f.payer)
	waits := f.next != nil && time.Since(f.next.at) < nextSYNAge
	if waits {
		next = s.newAttempt(f.key, f.next.isn, f.next.packet)
	}
	s.mu.Unlock()
	s.addresses.leave(f)
	if s.o.Gone != nil {
		s.o.Gone(f.name())
	}
	if waits {
		s.begin(next, f.key, f.next.isn)
	}
	s.live.Done()
}
