//go:build linux

package sched

import "sync"

// queue holds the tasks that have work and no goroutine, interactive ones before bulk ones. A bulk
// task runs after at most maxStreak interactive ones.
type queue struct {
	mu          sync.Mutex // guards the fields below; innermost
	nonEmpty    sync.Cond  // with mu
	interactive list
	bulk        list
	streak      int // interactive tasks in a row, while a bulk one may have waited
	busy        int // workers with a task from bulk
	most        int // of them
	closed      bool
}

// maxStreak is the number of interactive tasks that may overtake a bulk one.
const maxStreak = 32

func newQueue(most int) *queue {
	q := &queue{most: most}
	q.nonEmpty.L = &q.mu
	return q
}

// push adds a task that no goroutine has run.
func (q *queue) push(t *Task) {
	q.mu.Lock()
	q.listOf(t).pushBack(t)
	q.mu.Unlock()
	q.nonEmpty.Signal()
}

// pushAgain adds a task that has run and has more work. A bulk task that has yielded before the end
// of its turn becomes the next bulk task.
func (q *queue) pushAgain(t *Task) {
	q.mu.Lock()
	switch l := q.listOf(t); {
	case t.turn >= maxTurn:
		t.turn = 0
		l.pushBack(t)
	case l == &q.bulk:
		l.pushFront(t)
	default:
		l.pushBack(t)
	}
	q.mu.Unlock()
	q.nonEmpty.Signal()
}

func (q *queue) listOf(t *Task) *list {
	if t.Pace() == Bulk {
		return &q.bulk
	}
	return &q.interactive
}

// hasInteractive reports whether an interactive task waits.
func (q *queue) hasInteractive() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.interactive.head != nil
}

// isIdle reports whether no task waits and no bulk one runs.
func (q *queue) isIdle() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.interactive.head == nil && q.bulk.head == nil && q.busy == 0
}

// pop waits for a task; nil means that the queue is closed and empty. The caller calls bulkDone
// after a task from bulk.
func (q *queue) pop() (t *Task, bulk bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		if q.interactive.head == nil || q.streak >= maxStreak {
			q.streak = 0
			if q.busy < q.most {
				if t = q.bulk.pop(); t != nil {
					q.busy++
					return t, true
				}
			}
		}
		if t = q.interactive.pop(); t != nil {
			q.streak++
			return t, false
		}
		if q.closed && q.bulk.head == nil {
			return nil, false
		}
		q.nonEmpty.Wait()
	}
}

// bulkDone notes that a task from bulk has been run.
func (q *queue) bulkDone() {
	q.mu.Lock()
	q.busy--
	closed := q.closed
	q.mu.Unlock()
	if closed {
		q.nonEmpty.Broadcast() // each worker has to see that the queue is empty
		return
	}
	q.nonEmpty.Signal()
}

func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.nonEmpty.Broadcast()
}

// list is a list of tasks, linked by Task.next.
type list struct{ head, tail *Task }

func (l *list) pushBack(t *Task) {
	if l.tail == nil {
		l.head = t
	} else {
		l.tail.next = t
	}
	l.tail = t
}

func (l *list) pushFront(t *Task) {
	t.next = l.head
	l.head = t
	if l.tail == nil {
		l.tail = t
	}
}

func (l *list) pop() *Task {
	t := l.head
	if t == nil {
		return nil
	}
	l.head, t.next = t.next, nil
	if l.head == nil {
		l.tail = nil
	}
	return t
}
