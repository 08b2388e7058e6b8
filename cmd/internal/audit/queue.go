package audit

import (
	"sync"
	"sync/atomic"
)

// queue holds items on their way to a writer, in order. Its memory grows and shrinks with their
// number: there is room for tens of thousands, and it is nearly always empty.
type queue struct {
	limit int
	ready chan struct{} // holds a token when there are some that the writer does not know of
	n     atomic.Int64  // written with mu held

	mu    sync.Mutex // guards the two below
	items []item     // those before first are gone
	first int
}

// spare is how many items the queue keeps memory for while it is empty.
const spare = 1024

func newQueue(limit int) *queue { return &queue{limit: limit, ready: make(chan struct{}, 1)} }

func (q *queue) len() int { return int(q.n.Load()) }

// push reports whether there was room.
func (q *queue) push(i item) bool {
	q.mu.Lock()
	if q.len() >= q.limit {
		q.mu.Unlock()
		return false
	}
	if len(q.items) == cap(q.items) && q.first > len(q.items)/2 {
		n := copy(q.items, q.items[q.first:])
		clear(q.items[n:])
		q.items, q.first = q.items[:n], 0
	}
	q.items = append(q.items, i)
	n := q.n.Add(1)
	q.mu.Unlock()
	if n == 1 {
		q.wake()
	}
	return true
}

// wake has the writer look.
func (q *queue) wake() {
	select {
	case q.ready <- struct{}{}:
	default: // it is about to
	}
}

// pop takes the oldest item out, if there is one.
func (q *queue) pop() (i item, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.len() == 0 {
		return item{}, false
	}
	i, q.items[q.first] = q.items[q.first], item{}
	q.first++
	if q.n.Add(-1) == 0 {
		q.items, q.first = q.items[:0], 0
		if cap(q.items) > spare {
			q.items = nil
		}
	}
	return i, true
}
