package virtual

import (
	"net/netip"
	"slices"
	"time"
)

// sent is where datagrams to one virtual address go.
type sent struct {
	to     netip.Addr // the zero value: none have gone
	since  time.Time  // of the first to it
	last   time.Time
	heard  bool // it has answered
	failed bool // it is unreachable
}

// Datagram returns the real address for a datagram to a virtual one: of the same family, and
// accepted by admits. It reports false if there is none.
func (t *Table) Datagram(a netip.Addr, admits func(netip.Addr) bool) (real netip.Addr, ok bool) {
	now := time.Now()
	t.mu.Lock()
	e := t.at(a)
	if e == nil {
		t.mu.Unlock()
		return real, false
	}
	e.used = now
	f := FamilyOf(a.Unmap())
	s, all := &e.of[f].sent, e.of[f].real
	is, renew := *s, func() {}
	if t.isStale(e, now) {
		renew = t.renewed(e, f, nil) // for the next
	}
	t.mu.Unlock()
	renew()
	real, ok = choose(is, all, admits, now)
	if !ok {
		return real, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.to != real || now.Sub(s.last) >= idle {
		*s = sent{to: real, since: now}
	}
	s.last = now
	return real, true
}

// choose returns the address for the next datagram: that of the last one unless there is a reason
// against it, else the next address.
func choose(s sent, all []netip.Addr, admits func(netip.Addr) bool, now time.Time) (netip.Addr, bool) {
	flows := s.to.IsValid() && now.Sub(s.last) < idle
	mute := s.failed || !s.heard && now.Sub(s.since) >= soon
	if flows && !mute && admits(s.to) {
		return s.to, true
	}
	usable := slices.DeleteFunc(slices.Clone(all), func(r netip.Addr) bool { return !admits(r) })
	if len(usable) == 0 {
		return netip.Addr{}, false
	}
	if !flows {
		return usable[0], true
	}
	return usable[(slices.Index(usable, s.to)+1)%len(usable)], true
}

// Heard notes that a datagram has come from a real address to which datagrams to a virtual one go.
func (t *Table) Heard(a, from netip.Addr) {
	t.note(a, from, func(s *sent) { s.heard, s.failed = true, false })
}

// Unreachable notes that a datagram to a virtual address did not reach the real one.
func (t *Table) Unreachable(a, real netip.Addr) {
	t.note(a, real, func(s *sent) { s.failed = true })
}

func (t *Table) note(a, real netip.Addr, f func(*sent)) {
	if !t.Contains(a) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.at(a); e != nil {
		if s := &e.of[FamilyOf(a.Unmap())].sent; s.to == real {
			f(s)
		}
	}
}
