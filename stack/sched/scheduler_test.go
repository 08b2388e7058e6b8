//go:build linux

package sched

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"syntap/tun/tuntest"
)

// start runs a scheduler until the test ends.
func start(t *testing.T, workers int) *Scheduler {
	t.Helper()
	s := New(workers)
	ended := make(chan struct{})
	go func() {
		s.Run()
		close(ended)
	}()
	t.Cleanup(func() {
		s.Close()
		tuntest.Receive(t, "the workers' end", ended)
	})
	return s
}

// work is a Task that calls a function.
type work struct {
	Task
	step func(budget int) (moved int, more bool)
}

func (w *work) Step(budget int) (int, bool) { return w.step(budget) }

func newWork(s *Scheduler, step func(budget int) (moved int, more bool)) *work {
	w := &work{step: step}
	w.Init(s, w, false)
	return w
}

// download has more to move until it is stopped.
type download struct {
	*work
	steps   atomic.Int64
	stopped atomic.Bool
}

func newDownload(t *testing.T, s *Scheduler) *download {
	t.Helper()
	d := new(download)
	d.work = newWork(s, func(budget int) (int, bool) {
		d.steps.Add(1)
		return budget, !d.stopped.Load()
	})
	t.Cleanup(func() { d.stopped.Store(true) })
	return d
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	done := make(chan struct{})
	var stop atomic.Bool
	go func() {
		for !stop.Load() && !is() {
			runtime.Gosched()
		}
		close(done)
	}()
	defer stop.Store(true)
	tuntest.Receive(t, what, done)
}

func eachNumberOfWorkers(t *testing.T, test func(t *testing.T, workers int)) {
	t.Helper()
	for _, n := range []int{1, 2, 3, 8} {
		t.Run(fmt.Sprint(n, " workers"), func(t *testing.T) {
			t.Parallel()
			test(t, n)
		})
	}
}

// With more downloads than workers an interactive task is served before any of them has moved more
// than a step or two: the one that runs when it wakes, and one that has begun meanwhile.
func TestInteractiveBeforeBulk(t *testing.T) {
	t.Parallel()
	eachNumberOfWorkers(t, func(t *testing.T, workers int) {
		s := start(t, workers)
		downloads := make([]*download, 2*workers)
		for i := range downloads {
			downloads[i] = newDownload(t, s)
			downloads[i].Wake()
		}
		for _, d := range downloads {
			eventually(t, "bulk", func() bool { return d.Pace() == Bulk })
		}
		steps := func() (n int64) {
			for _, d := range downloads {
				n += d.steps.Load()
			}
			return n
		}
		const times = 50
		served := make(chan int64, 1)
		key := newWork(s, func(int) (int, bool) {
			served <- steps()
			return 1, false
		})
		var late []int64
		for range times {
			before := steps()
			key.Wake()
			late = append(late, tuntest.Receive(t, "interactive task", served)-before)
		}
		// The machine may take the processor away between the count and the Wake, now and then.
		slices.Sort(late)
		if most := int64(2*workers + 8); late[times/2] > most {
			t.Errorf("bulk tasks made %d steps while an interactive one waited, want %d at most", late[times/2], most)
		}
	})
}

// Interactive tasks without a pause leave bulk ones their share.
func TestBulkDoesNotStarve(t *testing.T) {
	t.Parallel()
	eachNumberOfWorkers(t, func(t *testing.T, workers int) {
		s := start(t, workers)
		downloads := []*download{newDownload(t, s), newDownload(t, s)}
		for _, d := range downloads {
			d.Wake()
			eventually(t, "bulk", func() bool { return d.Pace() == Bulk })
		}
		var stopped atomic.Bool
		defer stopped.Store(true)
		keys := make([]*work, 4*workers)
		var typed atomic.Int64
		for i := range keys {
			keys[i] = newWork(s, func(int) (int, bool) {
				typed.Add(1)
				if !stopped.Load() {
					keys[i].Wake()
					keys[(i+1)%len(keys)].Wake() // so that one always waits
				}
				return 1, false
			})
		}
		for _, k := range keys {
			k.Wake()
		}
		eventually(t, "interactive tasks", func() bool { return typed.Load() > 1000 })
		for _, d := range downloads {
			before := d.steps.Load()
			eventually(t, "steps of a bulk task", func() bool { return d.steps.Load() > before+10 })
		}
	})
}

// A download beside others gets its turn, whatever the others have left to move.
func TestBulkTakesTurns(t *testing.T) {
	t.Parallel()
	eachNumberOfWorkers(t, func(t *testing.T, workers int) {
		s := start(t, workers)
		downloads := make([]*download, 3*workers)
		for i := range downloads {
			downloads[i] = newDownload(t, s)
			downloads[i].Wake()
		}
		for _, d := range downloads {
			eventually(t, "turns of each", func() bool { return d.steps.Load() > 20 })
		}
	})
}

// Each Wake is followed by a Step that has begun after it, however many come at a time; and no two
// Steps of a task run at a time.
func TestNoWakeIsLost(t *testing.T) {
	t.Parallel()
	eachNumberOfWorkers(t, func(t *testing.T, workers int) {
		s := start(t, workers)
		const goroutines, wakes = 8, 2000
		type counter struct {
			*work
			news, seen atomic.Int64
			inStep     atomic.Bool
			plain      int // for the race detector
		}
		counters := make([]*counter, 3)
		for i := range counters {
			c := new(counter)
			c.work = newWork(s, func(budget int) (int, bool) {
				if c.inStep.Swap(true) {
					t.Error("two Steps at a time")
				}
				defer c.inStep.Store(false)
				c.plain++
				n := c.news.Load()
				c.seen.Store(n)
				return budget * (c.plain % 2), c.plain%3 == 0 // of either pace, with and without more
			})
			counters[i] = c
		}
		var senders sync.WaitGroup
		for g := range goroutines {
			senders.Go(func() {
				for i := range wakes {
					c := counters[(g+i)%len(counters)]
					c.news.Add(1)
					if i%2 == 0 {
						c.Wake()
					} else {
						c.WakeInline()
					}
				}
			})
		}
		senders.Wait()
		for _, c := range counters {
			eventually(t, "all news seen", func() bool { return c.seen.Load() == c.news.Load() })
		}
	})
}

// WakeInline steps at once while a task is interactive, and leaves bulk to the workers.
func TestWakeInline(t *testing.T) {
	t.Parallel()
	s := New(1) // that runs later
	steps, left := 0, 10<<20
	w := newWork(s, func(budget int) (int, bool) {
		steps++
		n := min(budget, left)
		left -= n
		return n, left > 0
	})
	w.WakeInline()
	if steps == 0 || w.Pace() != Bulk || left == 0 {
		t.Fatalf("%d steps inline, pace %d, %d bytes left", steps, w.Pace(), left)
	}
	before := steps
	w.WakeInline()
	if steps != before {
		t.Error("a bulk task was run inline")
	}
	s.Close()
	s.Run()
	if left != 0 {
		t.Errorf("%d bytes left after the workers have run", left)
	}
	left = 1
	w.Rest()
	w.WakeInline()
	if left != 0 {
		t.Error("a task at rest was not run inline")
	}
}

// A download that turns into a session is interactive again; a session never becomes bulk, whatever
// it moves in all.
func TestPace(t *testing.T) {
	t.Parallel()
	s := start(t, 1)
	bytes, steps := 0, make(chan struct{}, 1)
	w := newWork(s, func(int) (int, bool) {
		steps <- struct{}{}
		return bytes, false
	})
	move := func(n, times int) {
		bytes = n
		for range times {
			w.WakeInline()
			tuntest.Receive(t, "step", steps)
			for w.state.Load() != 0 { // the end of the turn
				runtime.Gosched()
			}
		}
	}
	if move(100, 100_000); w.Pace() != Interactive {
		t.Error("a session that has moved 10 MB is bulk")
	}
	if move(1<<20, 10); w.Pace() != Bulk {
		t.Error("a download of 10 MB is interactive")
	}
	if move(100, 100); w.Pace() != Interactive {
		t.Error("a session after a download is bulk")
	}
}

// Close lets the workers finish all that has been woken, of either pace.
func TestCloseDrains(t *testing.T) {
	t.Parallel()
	eachNumberOfWorkers(t, func(t *testing.T, workers int) {
		s := New(workers)
		const each = 5 << 20
		var left [20]atomic.Int64
		for i := range left {
			size := int64(each)
			if i%2 == 0 {
				size = 1
			}
			left[i].Store(size)
			newWork(s, func(budget int) (int, bool) {
				n := min(int64(budget), left[i].Load())
				return int(n), left[i].Add(-n) > 0
			}).Wake()
		}
		ended := make(chan struct{})
		go func() {
			s.Run()
			close(ended)
		}()
		s.Close()
		tuntest.Receive(t, "end", ended)
		for i := range left {
			if n := left[i].Load(); n != 0 {
				t.Errorf("task %d has %d bytes left", i, n)
			}
		}
		if !s.Idle() {
			t.Error("not idle after the end")
		}
	})
}

// Beside interactive traffic a bulk task moves less at a time, and as much as before when that has
// ended.
func TestBudgetBesideInteractive(t *testing.T) {
	t.Parallel()
	s := start(t, 1)
	d := newDownload(t, s)
	var budget atomic.Int64
	var small atomic.Bool // there has been a small step
	step := d.step
	d.step = func(b int) (int, bool) {
		budget.Store(int64(b))
		if b == mixedBudget {
			small.Store(true)
		}
		return step(b)
	}
	d.Wake()
	eventually(t, "large steps", func() bool { return budget.Load() == bulkBudget })
	eventually(t, "small steps", func() bool { // the machine may stall for longer than recently
		s.NoteInteractive()
		return small.Load()
	})
	eventually(t, "large steps again", func() bool { return budget.Load() == bulkBudget })
}

// A scheduler is idle while no task waits and no bulk one runs.
func TestIdle(t *testing.T) {
	t.Parallel()
	s := start(t, 2)
	if !s.Idle() {
		t.Error("not idle without a task")
	}
	d := newDownload(t, s)
	d.Wake()
	eventually(t, "bulk", func() bool { return d.Pace() == Bulk })
	before := d.steps.Load()
	eventually(t, "a step as a bulk task", func() bool { return d.steps.Load() > before })
	for range 100 {
		if s.Idle() {
			t.Fatal("idle beside a download")
		}
	}
	d.stopped.Store(true)
	eventually(t, "idle after the download", s.Idle)
}
