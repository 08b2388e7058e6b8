//go:build linux

package stack

import (
	"sync"
	"sync/atomic"
)

// runQueue holds the halves that have work and no goroutine. Any number of workers serve it in
// turn: first the halves that move little, as of an interactive session, then those in full swing.
// Of several workers one never has any of the latter.
type runQueue struct {
	mu       sync.Mutex // guards the fields below
	nonEmpty sync.Cond  // with mu
	quick    halfList
	bulk     halfList
	busy     int // workers with a half from bulk
	most     int // of them
	closed   bool

	mixed atomic.Int32 // slices of bulk until nothing quick is expected any more
}

// mixedFor is for how many slices of bulk something quick is expected after the last: for a
// twentieth of a second or so, in which a call or a game sends again.
const mixedFor = 1024

func newRunQueue(workers int) *runQueue {
	q := &runQueue{most: max(1, workers-1)}
	q.nonEmpty.L = &q.mu
	return q
}

// push is for a half that nobody has run. It may be called with netstack's locks held: it does not
// wait.
func (q *runQueue) push(h *half) {
	q.mu.Lock()
	if h.bulk.Load() {
		q.bulk.pushBack(h)
	} else {
		q.quick.pushBack(h)
	}
	q.mu.Unlock()
	q.nonEmpty.Signal()
}

// pushAgain is for a half that has been run and has more to do. If it has given way before its turn
// was over, it is the next of those in full swing.
func (q *runQueue) pushAgain(h *half) {
	q.mu.Lock()
	switch {
	case h.turn >= maxTurn:
		h.turn = 0
		q.bulk.pushBack(h)
	case h.bulk.Load():
		q.bulk.pushFront(h)
	default:
		q.quick.pushBack(h)
	}
	q.mu.Unlock()
	q.nonEmpty.Signal()
}

// hasQuick reports whether a half waits that moves little.
func (q *runQueue) hasQuick() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.quick.head != nil
}

// expectQuick says that there is something besides bulk.
func (q *runQueue) expectQuick() { q.mixed.Store(mixedFor) }

// isMixed reports whether there has been something besides bulk lately. It is asked once for each
// slice.
func (q *runQueue) isMixed() bool { return q.mixed.Load() > 0 && q.mixed.Add(-1) >= 0 }

// isIdle reports whether no half waits and none in full swing is run.
func (q *runQueue) isIdle() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.quick.head == nil && q.bulk.head == nil && q.busy == 0
}

// pop waits for a half; nil means the queue is closed. After one from bulk comes bulkDone.
func (q *runQueue) pop() (h *half, bulk bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		if h = q.quick.pop(); h != nil {
			q.expectQuick()
			return h, false
		}
		if q.busy < q.most {
			if h = q.bulk.pop(); h != nil {
				q.busy++
				return h, true
			}
		}
		if q.closed && q.bulk.head == nil {
			return nil, false
		}
		q.nonEmpty.Wait()
	}
}

// bulkDone says that a half from bulk has been run.
func (q *runQueue) bulkDone() {
	q.mu.Lock()
	q.busy--
	q.mu.Unlock()
	q.nonEmpty.Signal()
}

func (q *runQueue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.nonEmpty.Broadcast()
}

// halfList is a list of halves, linked by half.next.
type halfList struct{ head, tail *half }

func (l *halfList) pushBack(h *half) {
	if l.tail == nil {
		l.head = h
	} else {
		l.tail.next = h
	}
	l.tail = h
}

func (l *halfList) pushFront(h *half) {
	h.next = l.head
	l.head = h
	if l.tail == nil {
		l.tail = h
	}
}

func (l *halfList) pop() *half {
	h := l.head
	if h == nil {
		return nil
	}
	l.head, h.next = h.next, nil
	if l.head == nil {
		l.tail = nil
	}
	return h
}
