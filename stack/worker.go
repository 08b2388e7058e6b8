//go:build linux

package stack

import (
	"sync"

	"golang.org/x/sys/unix"
)

// worker is the scratch memory of a goroutine that runs halves. Idle flows own no buffer.
type worker struct {
	iov   []unix.Iovec // gathered from netstack's receive queue, valid only during one step
	size  int          // bytes in iov
	small [smallRead]byte
}

// smallRead is the size of a read that is copied once more instead of being sized first.
const smallRead = 16 << 10

// Limits of one writev towards the host socket.
const (
	gatherBytes = 512 << 10
	gatherViews = 256
)

func newWorker() *worker { return &worker{iov: make([]unix.Iovec, 0, gatherViews)} }

// runQueue holds the halves that have work and no goroutine. Any number of workers serve it in turn.
type runQueue struct {
	mu         sync.Mutex // guards the fields below
	nonEmpty   sync.Cond  // with mu
	head, tail *half      // linked by half.next
	closed     bool
}

func newRunQueue() *runQueue {
	q := &runQueue{}
	q.nonEmpty.L = &q.mu
	return q
}

// push may be called with netstack's locks held: it does not wait.
func (q *runQueue) push(h *half) {
	q.mu.Lock()
	if q.tail == nil {
		q.head = h
	} else {
		q.tail.next = h
	}
	q.tail = h
	q.mu.Unlock()
	q.nonEmpty.Signal()
}

// pop waits for a half; nil means the queue is closed.
func (q *runQueue) pop() *half {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.head == nil && !q.closed {
		q.nonEmpty.Wait()
	}
	h := q.head
	if h != nil {
		q.head, h.next = h.next, nil
		if q.head == nil {
			q.tail = nil
		}
	}
	return h
}

// serve runs halves until the queue is closed and empty.
func (q *runQueue) serve() {
	w := newWorker()
	for h := q.pop(); h != nil; h = q.pop() {
		h.own(w)
	}
}

func (q *runQueue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.nonEmpty.Broadcast()
}
