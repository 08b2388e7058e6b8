//go:build linux

package sched

import (
	"sync"
	"sync/atomic"
	"time"
)

// Scheduler runs tasks in a fixed number of goroutines, its workers.
type Scheduler struct {
	workers int
	queue   *queue

	start      time.Time // of the clock of the two below
	noted      atomic.Bool
	mixedUntil atomic.Int64 // nanoseconds on that clock
	bulkUntil  atomic.Int64
}

// A task moves a budget of bytes in one call of Step: bulkBudget, which costs a fraction of a
// millisecond, or mixedBudget where there has been interactive traffic in the last recently. A call
// or a game sends again within that time. Both are just below a multiple of 64 KiB, so that a step
// ends with a whole segment.
const (
	bulkBudget  = 480 << 10
	mixedBudget = 60 << 10
	recently    = 50 * time.Millisecond
)

// New returns a scheduler with so many workers, at least 1: the number of goroutines that Go's
// runtime runs at a time (GOMAXPROCS). All but one of several run bulk tasks; a single one runs
// both.
func New(workers int) *Scheduler {
	workers = max(1, workers)
	return &Scheduler{workers: workers, queue: newQueue(max(1, workers-1)), start: time.Now()}
}

// Run serves the queue until Close has been called and the queue is empty.
func (s *Scheduler) Run() {
	var workers sync.WaitGroup
	for range s.workers {
		workers.Go(s.work)
	}
	workers.Wait()
}

// Close makes Run return when no task is left. A task that wakes later never runs.
func (s *Scheduler) Close() { s.queue.close() }

// Idle reports whether no task waits and no bulk task runs.
func (s *Scheduler) Idle() bool { return s.queue.isIdle() }

// NoteInteractive makes bulk tasks move little at a time for a while, because of interactive
// traffic that is no task of this scheduler.
func (s *Scheduler) NoteInteractive() {
	if !s.noted.Load() {
		s.noted.Store(true)
	}
}

// bulkAlone reports whether there have been bulk tasks recently, and no interactive traffic.
func (s *Scheduler) bulkAlone() bool {
	now := int64(time.Since(s.start))
	return now < s.bulkUntil.Load() && now >= s.mixedUntil.Load() && !s.noted.Load()
}

// budget returns how many bytes the next step of a task may move.
func (s *Scheduler) budget(p Pace) int {
	now := int64(time.Since(s.start))
	if p == Bulk {
		s.bulkUntil.Store(now + int64(recently))
	}
	if s.noted.Load() {
		s.noted.Store(false)
		s.mixedUntil.Store(now + int64(recently))
		return mixedBudget
	}
	if now < s.mixedUntil.Load() {
		return mixedBudget
	}
	return bulkBudget
}

// work runs tasks until the queue is closed and empty.
func (s *Scheduler) work() {
	y := s.NewYielder()
	defer y.Close()
	for {
		t, bulk := s.queue.pop()
		if t == nil {
			return
		}
		if !bulk {
			s.NoteInteractive()
		}
		t.run(y)
		if bulk {
			s.queue.bulkDone()
		}
	}
}

// turn calls Step until the task has nothing more to move, and then returns false. It returns true
// if the task must go into the queue: after a whole turn, when its pace has changed, or when an
// interactive task waits. A goroutine that is no worker has no Yielder.
func (s *Scheduler) turn(t *Task, y *Yielder) (more bool) {
	for pace := t.Pace(); ; {
		budget := s.budget(pace)
		n, more := t.stepper.Step(budget)
		t.moved(n)
		yields := y != nil && (!t.drains || budget == mixedBudget)
		yielded := yields && y.Moved(n, budget)
		switch {
		case !more:
			return false
		case t.turn >= maxTurn, t.Pace() != pace, yielded && s.queue.hasInteractive():
			return true
		}
	}
}
