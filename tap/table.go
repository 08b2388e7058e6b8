package tap

import (
	"sync"
	"sync/atomic"
	"time"

	"syntap/tun/flow"
)

// class is what the table keeps a flow for.
type class uint8

const (
	absent      class = iota
	opening           // an attempt without an answer
	answered          // an attempt with a SYN-ACK
	held              // no attempt, but the router may have or make an endpoint that waits for a third segment
	silent            // an attempt has ended without telling the client, who may send the same SYN again
	told              // an attempt has ended and the client knows; it may send the same SYN again all the same
	established       // a connection that has not closed
	classes
)

// watched flows are looked up for every segment.
func (c class) watched() bool { return c != absent && c != told && c != established }

// placed flows are attempts, to the tap or to the router.
func (c class) placed() bool { return c == opening || c == answered || c == held }

// counted flows count against the limits of a live table.
func (c class) counted() bool { return c.placed() || c == established }

// router is what the router may have for a flow that is not established. Live only.
type router uint8

const (
	idle      router = iota
	dialling         // a SYN has passed: an endpoint may follow
	accepting        // a SYN-ACK has passed: the endpoint waits for the third segment
)

// entry is the table's entry.
type entry struct {
	key        flowKey
	hash       uint64
	local      bool // the client is on this host
	class      class
	attempt    *attempt // with opening and answered
	challenged *attempt // a SYN with another number since answered; tentative
	outcome    Outcome  // of the last attempt; "" = none has ended
	iss        uint32   // of the last attempt that has ended
	router     router
	cNext      uint32 // with accepting: the number of a RST that the endpoint believes
	closed     uint8  // with established, in a capture: bit 0 = end a has sent FIN, bit 1 = end b
	gone       bool   // with a tentative attempt: the router has ended the connection underneath
	deadline   time.Time

	prev, next *entry // in the shard's list of the class, by deadline
}

// maybeDialling notes that a SYN has passed.
func (f *entry) maybeDialling() {
	if f.router == idle {
		f.router = dialling
	}
}

// shard is a part of the table with a lock of its own.
type shard struct {
	mu    sync.Mutex // guards the rest
	flows map[flowKey]*entry
	lists [classes]flowList

	// Events wait here for the goroutine that is delivering, so that they leave in order and
	// without mu.
	events     []event
	spare      []event // the other half of a double buffer
	delivering bool

	renewals []renewal // live only
}

// event is a call of Options.OnSegment or OnRecord.
type event struct {
	key     flow.Key
	segment Segment
	record  *Record // nil: the segment
}

// table holds flows: sharded by a hash that nobody outside can compute, bounded by class.
type table struct {
	hashSeed
	shards []shard
	filter filter // of watched flows
	count  [classes]atomic.Int64
	lives  [classes]time.Duration // how long a flow may stay in a class; 0 = until it leaves by itself

	sources *sources // of counted flows; nil = not counted
}

func (t *table) init(shards int, live bool) {
	t.hashSeed = newHashSeed()
	t.shards = make([]shard, shards)
	for i := range t.shards {
		t.shards[i].flows = make(map[flowKey]*entry)
		if live {
			t.shards[i].renewals = make([]renewal, renewals/shards)
		}
	}
}

// shard uses other bits of the hash than the filter does.
func (t *table) shard(hash uint64) *shard { return &t.shards[hash>>32%uint64(len(t.shards))] }

// places is the number of attempts.
func (t *table) places() int64 {
	return t.count[opening].Load() + t.count[answered].Load() + t.count[held].Load()
}

// size is the number of counted flows.
func (t *table) size() int64 { return t.places() + t.count[established].Load() }

// add makes an absent flow.
func (t *table) add(sh *shard, key flowKey, hash uint64) *entry {
	f := &entry{key: key, hash: hash}
	sh.flows[key] = f
	return f
}

// move puts a flow into another class and out of the table when that is absent. Since all flows of
// a class live equally long, the end of its list is the place for a new deadline, and expiry costs
// the same however many there are. The shard's lock is held.
func (t *table) move(sh *shard, f *entry, to class, now time.Time) {
	from := f.class
	if from != absent {
		sh.lists[from].remove(f)
		t.count[from].Add(-1)
	}
	if d := change(from.watched(), to.watched()); d != 0 {
		t.filter.add(f.hash, int32(d))
	}
	if d := change(from.counted(), to.counted()); d != 0 && t.sources != nil {
		client, _ := f.key.ends()
		t.sources.count(client.Addr(), f.local, d)
	}
	f.class = to
	if to == absent {
		delete(sh.flows, f.key)
		return
	}
	f.deadline = now.Add(t.lives[to])
	sh.lists[to].push(f)
	t.count[to].Add(1)
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

// flowList is a list of flows, oldest first.
type flowList struct{ first, last *entry }

func (l *flowList) push(f *entry) {
	f.prev, f.next = l.last, nil
	if l.last == nil {
		l.first = f
	} else {
		l.last.next = f
	}
	l.last = f
}

func (l *flowList) remove(f *entry) {
	if f.prev == nil {
		l.first = f.next
	} else {
		f.prev.next = f.next
	}
	if f.next == nil {
		l.last = f.prev
	} else {
		f.next.prev = f.prev
	}
}
