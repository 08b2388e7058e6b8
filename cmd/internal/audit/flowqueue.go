package audit

import (
	"sync"
	"sync/atomic"

	"syntap/cmd/internal/record"
)

// flowQueue holds the ends of connections and flows on their way to a writer. No connection waits
// for them, so they wake the writer once for many.
type flowQueue struct {
	ready chan struct{} // holds a token when there are some that the writer does not know of
	n     atomic.Int64  // written with mu held

	mu   sync.Mutex // guards the two below
	list []record.AttributedFlow
	idle []record.AttributedFlow // memory for the next list
}

func newFlowQueue() *flowQueue { return &flowQueue{ready: make(chan struct{}, 1)} }

// push reports whether there was room: limit is how many may wait.
func (q *flowQueue) push(f record.AttributedFlow, limit int) bool {
	q.mu.Lock()
	n := len(q.list)
	if n < limit {
		q.list = append(q.list, f)
		q.n.Add(1)
	}
	q.mu.Unlock()
	if n == 0 {
		q.wake()
	}
	return n < limit
}

func (q *flowQueue) len() int { return int(q.n.Load()) }

// wake has the writer look.
func (q *flowQueue) wake() {
	select {
	case q.ready <- struct{}{}:
	default: // it is about to
	}
}

// take returns the ends that wait; the list is valid until the next call. The memory of a long one
// is not kept.
func (q *flowQueue) take() []record.AttributedFlow {
	q.mu.Lock()
	defer q.mu.Unlock()
	taken := q.list
	q.n.Store(0)
	q.list, q.idle = q.idle[:0], nil
	if cap(taken) <= spare {
		q.idle = taken
	}
	return taken
}
