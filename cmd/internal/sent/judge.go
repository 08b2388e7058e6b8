//go:build linux

package sent

import (
	"slices"
	"time"

	"syntap/tun/flow"
)

// kept is for how long, at least, a connection that is on record is remembered: its SYN may be told
// of later.
const kept = 10 * time.Second

// forgiven is for how long after a loss of records those that are missing prove nothing.
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
	before := t.pending[k]
	if before != nil && before.isn == p.isn || t.seen.has(seenKey(k, p.isn)) {
		return
	}
	t.stats.Sent++
	c := pending{isn: p.isn, remote: p.remote, since: now}
	if t.recorded.take(k) {
		if !t.announced.take(t.hash(flow.TCP, p.remote)) {
			_ = t.own.take(t.hash(flow.TCP, p.remote))
		}
		t.seen.add(seenKey(k, p.isn))
		return
	}
	// Those that have been seen before get the announcements first: by the end of a look there are
	// as many as there were connections when it began.
	if t.waiting == 0 {
		t.isAnnounced(&c)
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
	to := t.hash(flow.TCP, c.remote)
	switch {
	case c.announced:
	case t.announced.take(to):
		c.announced = true
	case t.own.take(to):
		c.announced, c.own = true, true
		t.stats.Own++
	}
	return c.announced
}

// payload takes the first segment of a connection that has bytes. One that is not pending is on
// record, or was before its entry in conntrack was lost.
func (t *Tally) payload(k uint64, p *packet) {
	if c := t.pending[k]; c != nil && !t.mayBeOwn(c) {
		t.suspect(suspect{reason: Unwritten, proto: flow.TCP, remote: p.remote, key: k})
	}
}

// mayBeOwn reports whether a connection is the router's own, to where there was one on record.
func (t *Tally) mayBeOwn(c *pending) bool {
	return c.own && t.remotes.has(t.hash(flow.TCP, c.remote))
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
	c := t.pending[s.key]
	return c == nil || s.reason == Unannounced && t.isAnnounced(c) || s.reason == Unwritten && t.mayBeOwn(c)
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
	if c := t.pending[s.key]; c != nil && s.proto == flow.TCP {
		t.forget(s.key, c.isn)
	}
	if s.reason != Unannounced && !s.never && !t.o.Gated(s.proto) && !t.lost.IsZero() && now.Sub(t.lost) < forgiven {
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

// rotate forgets connections that are long on record, and returns those that should be. All packets
// that the kernel has told of are taken.
func (t *Tally) rotate(now time.Time) (found []Unrecorded) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Sub(t.rotated) < kept {
		return nil
	}
	t.rotated = now
	t.recorded.turn()
	t.seen.turn()
	patience := t.o.Patience()
	for k, c := range t.pending {
		switch {
		case now.Sub(c.since) < kept, !c.orphan && now.Sub(c.since) < patience:
		case c.orphan, c.own, t.remotes.has(t.hash(flow.TCP, c.remote)):
			t.forget(k, c.isn)
		default:
			found = t.find(found, &suspect{reason: Late, proto: flow.TCP, remote: c.remote, key: k}, now)
		}
	}
	return found
}

// wait returns until when Run may wait for packets; the zero value = until there are some. Where
// something is to be forgotten, it waits for a moment in which there are none.
func (t *Tally) wait(now time.Time) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch nothing := len(t.pending) == 0 && t.recorded.empty() && t.seen.empty(); {
	case !nothing && now.Sub(t.rotated) >= kept:
		return now.Add(time.Millisecond)
	case len(t.suspects) > 0:
		return now.Add(tick)
	case !nothing:
		return t.rotated.Add(kept)
	}
	return time.Time{}
}
