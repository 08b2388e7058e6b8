//go:build linux

package sent

import (
	"net/netip"
	"slices"
	"time"

	"syntap/tun/flow"
)

// kept is for how long, at least, a connection that is on record is remembered: its SYN may be told
// of later.
const kept = 10 * time.Second

// forgiven is for how long after the ring was full records that are missing prove nothing.
const forgiven = time.Minute

// sent takes the first packet of a connection or flow, or the first with bytes, as the kernel has
// seen it.
func (t *Tally) sent(p *packet, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.proto != flow.TCP || !p.whole {
		t.datagram(p)
		return
	}
	k := t.hash(flow.TCP, p.local, p.remote)
	if p.syn {
		t.syn(k, p, now)
	}
	if p.data {
		t.payload(k, p)
	}
}

// datagram takes the first packet of a flow without a handshake, or one that no router sends.
func (t *Tally) datagram(p *packet) {
	t.stats.Sent++
	k := t.hash(p.proto, p.remote)
	if !p.whole || !t.isBegun(k) {
		t.suspect(suspect{reason: Unwritten, proto: p.proto, remote: p.remote, key: k, never: !p.whole})
	}
}

func (t *Tally) isBegun(k uint64) bool {
	return t.open[k] > 0 || t.ended.has(k) || t.trusted.has(k)
}

// syn takes a SYN, which may have been seen before.
func (t *Tally) syn(k uint64, p *packet, now time.Time) {
	before, h := t.pending[k], t.histories.get(k)
	if before != nil && before.isn == p.isn || h.known && h.isn == p.isn {
		return
	}
	t.stats.Sent++
	c := pending{isn: p.isn, local: p.local, remote: p.remote, since: now}
	// Those that have been seen before get the announcements first: by the end of a look there are
	// as many as there were connections when it began.
	if t.waiting == 0 {
		t.isAnnounced(&c)
	}
	if h.left() > 0 { // one of them is its record
		delete(t.pending, k)
		h.isn, h.known, h.sent = p.isn, true, false
		t.histories.put(k, h)
		return
	}
	if before == nil && len(t.pending) >= mostPending {
		t.stats.Missed++
		return
	}
	t.pending[k] = &c
	if !c.announced && t.suspect(suspect{reason: Unannounced, proto: flow.TCP, remote: p.remote, key: k}) {
		t.waiting++
	}
}

// isAnnounced reports whether the router has said that it makes a connection.
func (t *Tally) isAnnounced(c *pending) bool {
	c.announced = c.announced || t.announced.take(t.hash(flow.TCP, c.remote))
	return c.announced
}

// payload takes the first segment of a connection that has bytes, which may have been seen before.
// Where its SYN was not seen, or is forgotten, nothing can be said.
func (t *Tally) payload(k uint64, p *packet) {
	h, c := t.histories.get(k), t.pending[k]
	switch {
	case c == nil && (!h.known || h.sent), c != nil && c.sent:
		return
	case c == nil:
		h.sent = true
		if h.left() > 0 {
			h.sending++
		}
	case t.suspect(suspect{reason: Unwritten, proto: flow.TCP, remote: p.remote, key: k, nth: h.sending + 1}):
		c.sent = true
		h.sending++
	}
	t.histories.put(k, h)
}

// mayBeOwn reports whether a connection to a destination may be the router's own, to where there
// was one on record.
func (t *Tally) mayBeOwn(remote netip.AddrPort) bool {
	k := t.hash(flow.TCP, remote)
	if !t.measured.has(k) {
		return false
	}
	if t.remotes.has(k) {
		return true
	}
	if t.remotes.forgot {
		t.stats.Unjudged++
	}
	return t.remotes.forgot
}

// suspect notes a packet that should not have left, if there is room.
func (t *Tally) suspect(s suspect) bool {
	if len(t.suspects) >= mostSuspects {
		t.stats.Missed++
		return false
	}
	t.suspects = append(t.suspects, s)
	return true
}

// isCleared reports whether there is a good reason for a packet by now.
func (t *Tally) isCleared(s *suspect) bool {
	switch {
	case s.never:
		return false
	case s.proto != flow.TCP:
		return t.isBegun(s.key)
	}
	if s.reason == Unannounced {
		c := t.pending[s.key]
		return c == nil || t.isAnnounced(c)
	}
	h := t.histories.get(s.key)
	if int16(h.recorded-s.nth) >= 0 { // one for each of those that have sent bytes
		return true
	}
	if !t.mayBeOwn(s.remote) {
		return false
	}
	h.recorded++
	t.histories.put(s.key, h)
	return true
}

// judge returns the flows that should not have left. A packet is suspect until all has been taken
// that the router had said when it was seen, at the latest: a router says first and sends then.
func (t *Tally) judge(now time.Time) (found []Unrecorded) {
	t.mu.Lock()
	defer t.mu.Unlock()
	isOver := t.done != nil && t.done()
	left := t.suspects[:0]
	t.waiting = 0
	for _, s := range t.suspects {
		switch {
		case t.isCleared(&s):
		case isOver && s.looked:
			found = t.find(found, &s, now)
		default:
			left = append(left, s)
			if s.reason == Unannounced {
				t.waiting++
			}
		}
	}
	if t.suspects = left; isOver {
		t.done = nil
	}
	if t.done == nil && len(left) > 0 {
		for i := range left {
			left[i].looked = true
		}
		t.done = t.o.Look()
	}
	return found
}

// find adds a flow to those that were found out. mu is held.
func (t *Tally) find(found []Unrecorded, s *suspect, now time.Time) []Unrecorded {
	if s.proto == flow.TCP && !s.never {
		t.forget(s.key)
	}
	if s.reason != Unannounced && !s.never && t.mayBeLost(s.proto, now) {
		t.stats.Unjudged++
		return found
	}
	t.stats.Unrecorded++
	same := func(u Unrecorded) bool {
		return u.Proto == s.proto && u.Remote == s.remote && u.Reason == s.reason
	}
	if i := slices.IndexFunc(found, same); i >= 0 {
		found[i].Flows++
		return found
	}
	return append(found, Unrecorded{s.proto, s.remote, 1, s.reason})
}

// forget has a connection be no more judged.
func (t *Tally) forget(k uint64) {
	h := t.histories.get(k)
	if h.left() < 0 {
		h.recorded++
	}
	if c := t.pending[k]; c != nil {
		h.isn, h.known, h.sent = c.isn, true, true
		delete(t.pending, k)
	}
	t.histories.put(k, h)
}

// mayBeLost reports whether a record may have been lost whose connection or flow went on.
func (t *Tally) mayBeLost(p flow.Proto, now time.Time) bool {
	if p == flow.TCP && t.lostHandshakes || p != flow.TCP && t.lostDatagrams {
		return true
	}
	return !t.blocked.IsZero() && now.Sub(t.blocked) < forgiven && !t.o.Gated(p)
}

// rotate forgets connections that are long on record, and returns those that should be. All packets
// that the kernel has told of are taken.
func (t *Tally) rotate(now time.Time) (found []Unrecorded) {
	for k, c := range t.turn(now) {
		isOpen := t.o.IsOpen(c.local, c.remote)
		t.mu.Lock()
		switch same := t.pending[k] == c; {
		case same && isOpen:
			found = t.find(found, &suspect{reason: Late, proto: flow.TCP, remote: c.remote, key: k}, now)
		case same: // such as one of several addresses that has not answered first
			t.forget(k)
		}
		t.mu.Unlock()
	}
	return found
}

// mostLate is how many connections are looked for at a time.
const mostLate = 1000

// turn forgets what has not changed for a while, and returns connections that should be on record
// by now, or closed.
func (t *Tally) turn(now time.Time) map[uint64]*pending {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Sub(t.rotated) < kept {
		return nil
	}
	t.rotated = now
	t.histories.turn()
	for _, s := range t.suspects {
		t.histories.put(s.key, t.histories.get(s.key))
	}
	patience, late := t.o.Patience(), make(map[uint64]*pending)
	for k, c := range t.pending {
		switch age := now.Sub(c.since); {
		case age < kept:
		case c.orphan, age >= patience && t.trusted.has(t.hash(flow.TCP, c.remote)):
			t.forget(k)
		case age >= patience && len(late) < mostLate:
			late[k] = c
		}
	}
	return late
}

// wait returns until when Run may wait for packets; the zero value = until there are some. Where
// something is to be forgotten, it waits for a moment in which there are none.
func (t *Tally) wait(now time.Time) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch nothing := len(t.pending) == 0 && t.histories.empty(); {
	case !nothing && now.Sub(t.rotated) >= kept:
		return now.Add(time.Millisecond)
	case len(t.suspects) > 0:
		return now.Add(tick)
	case !nothing:
		return t.rotated.Add(kept)
	}
	return time.Time{}
}
