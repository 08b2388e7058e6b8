package tracker

import (
	"sync"
	"time"

	"syntap/tap/handshake"
	"syntap/tap/tracker/tuple"
	"syntap/tun/flow"
)

// Shard is a part of the table with a lock of its own. Its methods that end in Locked need the
// lock, and so do all methods of the entries in it.
type Shard struct {
	t     *Tracker
	mu    sync.Mutex // guards the rest
	flows map[tuple.Key]*Entry
	lists [States]list

	// Events wait here for the goroutine that is delivering, so that they leave in order and
	// without mu.
	events     []event
	spare      []event // the other half of a double buffer
	delivering bool
}

// event is a call of Options.OnSegment or OnRecord.
type event struct {
	key     flow.Key
	segment handshake.Segment
	record  *handshake.Record // nil for a segment
}

// Lock locks the shard.
func (sh *Shard) Lock() { sh.mu.Lock() }

// Unlock calls the functions of Options for the events that wait, without the lock, and leaves the
// shard unlocked. If another goroutine is delivering already, that one delivers these events too.
func (sh *Shard) Unlock() {
	o := &sh.t.o
	for !sh.delivering && len(sh.events) > 0 {
		batch := sh.events
		sh.events, sh.delivering = sh.spare[:0], true
		sh.mu.Unlock()
		for i := range batch {
			if e := &batch[i]; e.record != nil {
				o.OnRecord(e.record)
			} else {
				o.OnSegment(e.key, e.segment)
			}
		}
		clear(batch)
		sh.mu.Lock()
		sh.spare, sh.delivering = batch[:0], false
	}
	sh.mu.Unlock()
}

// FindLocked returns the entry of a packet's flow, nil if there is none. A flow that has closed and
// whose time is over leaves the table: captures have no timers.
func (sh *Shard) FindLocked(p *tuple.Packet, at time.Time) *Entry {
	e := sh.flows[p.Flow]
	if e != nil && e.state == StateClosed && at.After(e.deadline) {
		sh.MoveLocked(e, StateNone, at)
		return nil
	}
	return e
}

// AddLocked adds the flow of a packet in a state.
func (sh *Shard) AddLocked(p *tuple.Packet, s State, at time.Time) *Entry {
	e := sh.newLocked(p)
	sh.MoveLocked(e, s, at)
	return e
}

// newLocked adds an entry, which the caller moves out of the state StateNone.
func (sh *Shard) newLocked(p *tuple.Packet) *Entry {
	e := &Entry{key: p.Flow, hash: p.Hash, Hold: Hold{Local: p.Local}}
	sh.flows[e.key] = e
	return e
}

// MoveLocked puts a flow into another state, and out of the table if that is StateNone. All flows
// of a state live equally long, so the end of its list is the place for a new deadline, and the
// cost of expiry does not depend on their number. Beyond the state's capacity the shard's oldest
// other flow in it leaves the table.
func (sh *Shard) MoveLocked(e *Entry, to State, at time.Time) {
	t, from := sh.t, e.state
	if from != StateNone {
		sh.lists[from].remove(e)
		t.count[from].Add(-1)
	}
	if d := change(from.Watched(), to.Watched()); d != 0 {
		t.filter.Add(e.hash, int32(d))
	}
	if d := change(from.Counted(), to.Counted()); d != 0 && t.o.Counted != nil {
		t.o.Counted(e, d)
	}
	e.state = to
	if to == StateNone {
		delete(sh.flows, e.key)
		return
	}
	e.deadline = at.Add(t.limits.Lifetime[to])
	sh.lists[to].push(e)
	n := t.count[to].Add(1)
	if c := t.limits.Capacity[to]; c > 0 && n > int64(c) && sh.lists[to].first != e {
		sh.pushOutLocked(sh.lists[to].first, at)
	}
}

// pushOutLocked takes the oldest flow of a state out of it, for another one that has no place.
func (sh *Shard) pushOutLocked(e *Entry, at time.Time) {
	if e.state == StateEstablished {
		sh.t.forgotten.Add(1)
	}
	sh.MoveLocked(e, StateNone, at)
}

// change is +1 for a property gained, -1 for one lost.
func change(before, after bool) int {
	switch {
	case after && !before:
		return 1
	case before && !after:
		return -1
	}
	return 0
}

// list is a list of flows, oldest first.
type list struct{ first, last *Entry }

func (l *list) push(e *Entry) {
	e.prev, e.next = l.last, nil
	if l.last == nil {
		l.first = e
	} else {
		l.last.next = e
	}
	l.last = e
}

func (l *list) remove(e *Entry) {
	if e.prev == nil {
		l.first = e.next
	} else {
		e.prev.next = e.next
	}
	if e.next == nil {
		l.last = e.prev
	} else {
		e.next.prev = e.prev
	}
}
