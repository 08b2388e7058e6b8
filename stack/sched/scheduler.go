//go:build linux

package sched

import (
	"sync"
	"sync/atomic"
	"time"

	"syntap/tun/raw"
)

// Scheduler runs tasks in a fixed number of goroutines, its workers.
type Scheduler struct {
	workers int
	queue   *queue

	start      time.Time // of the clock of the fields below
	noted      atomic.Bool
	mixedUntil atomic.Int64 // nanoseconds on that clock
	bulkUntil  atomic.Int64

	yieldThread func()
	yields      atomic.Int32  // bulk steps that a yield of the thread precedes; 0 with several workers
	keepsUntil  time.Duration // the thread is not yielded before, on the same clock; the worker's
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

// A yield of the thread precedes each of the first yieldsAfter bulk steps after an interactive
// turn: some 200 µs, in which a process of several threads takes its bytes. A yield that takes
// longYield has given the processor to a thread that computes, for a time slice of some
// milliseconds. None follows for keepsFor.
const (
	yieldsAfter = 4
	longYield   = time.Millisecond
	keepsFor    = 100 * time.Millisecond
)

// New returns a scheduler with so many workers, at least 1: the number of goroutines that Go's
// runtime runs at a time (GOMAXPROCS). All but one of several run bulk tasks; a single one runs
// both.
func New(workers int) *Scheduler {
	workers = max(1, workers)
	return &Scheduler{
		workers: workers, queue: newQueue(max(1, workers-1)), start: time.Now(), yieldThread: raw.Yield,
	}
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

// giveWay lets the client or far end run that interactive bytes have just woken. The kernel may
// have put it on the processor of the thread that woke it, where a bulk task would keep it waiting
// for the rest of the thread's time slice.
func (s *Scheduler) giveWay() {
	if s.yields.Load() == 0 {
		return
	}
	s.yields.Add(-1)
	start := time.Since(s.start)
	if start < s.keepsUntil {
		return
	}
	s.yieldThread()
	if end := time.Since(s.start); end-start > longYield {
		s.keepsUntil = end + keepsFor
	}
}

// turn calls Step until the task has nothing more to move, and then returns false. It returns true
// if the task must go into the queue: after a whole turn, when its pace has changed, or when an
// interactive task waits. A goroutine that is no worker has no Yielder.
func (s *Scheduler) turn(t *Task, y *Yielder) (more bool) {
	for pace := t.Pace(); ; {
		budget := s.budget(pace)
		if pace == Bulk {
			s.giveWay()
		}
		n, more := t.stepper.Step(budget)
		t.moved(n)
		if pace == Interactive && n > 0 && s.workers == 1 {
			s.yields.Store(yieldsAfter)
		}
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
