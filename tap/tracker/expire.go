package tracker

import (
	"cmp"
	"slices"
	"time"
)

// Flush ends every handshake as half_open or no_reply, in the order of their first SYNs.
func (t *Tracker) Flush() {
	type opened struct {
		entry *Entry
		hs    *tracked
	}
	var open []opened
	for i := range t.shards {
		sh := &t.shards[i]
		sh.mu.Lock()
		for _, s := range []State{StateSYNSent, StateSYNReceived, StateSettling} {
			for e := sh.lists[s].first; e != nil; e = e.next {
				open = append(open, opened{e, e.hs})
			}
		}
		sh.mu.Unlock()
	}
	slices.SortFunc(open, func(x, y opened) int { return cmp.Compare(x.hs.serial, y.hs.serial) })
	for _, o := range open {
		sh := &t.shards[o.entry.hash>>32%uint64(len(t.shards))]
		sh.Lock()
		if o.entry.hs == o.hs {
			sh.EndLocked(o.entry, o.hs.unanswered(), o.hs.rec.Time)
		}
		sh.Unlock()
	}
}

// Expire ends handshakes and forgets flows whose lifetime in their state was over at a time not
// after now.
func (t *Tracker) Expire(now, at time.Time) {
	for i := range t.shards {
		sh := &t.shards[i]
		sh.Lock()
		for s := StateNone + 1; s < States; s++ {
			if t.limits.Lifetime[s] == 0 {
				continue
			}
			for e := sh.lists[s].first; e != nil && !at.Before(e.deadline); e = sh.lists[s].first {
				if e.hs == nil {
					sh.MoveLocked(e, StateNone, now)
				} else {
					sh.EndLocked(e, e.hs.unanswered(), now)
				}
			}
		}
		sh.Unlock()
	}
}
