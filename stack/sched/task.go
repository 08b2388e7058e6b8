//go:build linux

package sched

import (
	"math"
	"sync/atomic"
)

// Stepper is the work of a [Task].
type Stepper interface {
	// Step moves budget bytes, or a little more to finish a unit. It returns the number moved and
	// whether more can be moved at once. Without more, the task rests until [Task.Wake]. Step must
	// not block. There is only one call at a time.
	Step(budget int) (moved int, more bool)
}

// Pace classifies a Task by the bytes that it moves. A task changes its pace by itself: see
// bulkAfter.
type Pace uint32

// The values of [Pace].
const (
	Interactive Pace = iota // little at a time, such as a session in which a person types
	Bulk                    // much, such as a download
)

// Task is work that comes again and again, such as one direction of a connection. It is not a
// goroutine: a goroutine that has new work for it claims it, and exactly one goroutine owns it
// while it runs. The owner of the work embeds it and calls Init.
//
//	      Wake                    a worker's                   more to move, or
//	idle ──────▶ running, queued ────────────▶ running, owned ─── a Wake meanwhile ──▶ queued
//	 ▲                                               │
//	 ╰──────── nothing more, and no Wake ────────────╯
type Task struct {
	sched   *Scheduler
	stepper Stepper
	drains  bool          // see Init
	calm    uint8         // short turns in a row, up to calmTurns
	state   atomic.Uint32 // running | pending
	pace    atomic.Uint32 // a Pace; the owner sets it
	turn    int32         // bytes of this turn; like the next two the owner's
	swollen int32         // bytes of long turns, up to bulkAfter
	next    *Task         // in the queue
}

// The bits of Task.state.
const (
	running uint32 = 1 << iota // a goroutine owns the task, or it is in the queue
	pending                    // there has been a Wake since Step was last called
)

// A turn lasts until nothing is left to move, or for maxTurn bytes. A task is bulk once it has
// moved bulkAfter bytes in turns longer than shortTurn, and interactive again after calmTurns
// shorter ones. So an old session in which a person types does not count as a download.
const (
	maxTurn   = 2 << 20
	shortTurn = 16 << 10
	bulkAfter = 256 << 10
	calmTurns = 16
)

// Init prepares a task, which is then idle and interactive. drains means that another goroutine of
// this process brings its bytes: a yield would let that bring more than the processor's caches
// hold, so such a task yields only during interactive traffic.
func (t *Task) Init(s *Scheduler, stepper Stepper, drains bool) {
	t.sched, t.stepper, t.drains = s, stepper, drains
}

// Wake makes a worker call Step at least once from now on. Any goroutine may call it, with any lock
// held that Step does not take.
func (t *Task) Wake() {
	if t.claim() {
		t.sched.queue.push(t)
	}
}

// WakeInline is Wake for a goroutine that may call Step itself. It does so at once while the task
// is interactive, which saves a switch of goroutines.
func (t *Task) WakeInline() {
	if t.Pace() == Bulk {
		t.Wake()
		return
	}
	if t.claim() {
		t.run(nil)
	}
}

// Pace returns the task's pace. It may be called from any goroutine.
func (t *Task) Pace() Pace { return Pace(t.pace.Load()) }

// Rest makes the task interactive, because it has moved nothing for long. Only Step may call it.
func (t *Task) Rest() {
	t.swollen, t.calm = 0, 0
	t.pace.Store(uint32(Interactive))
}

// claim notes new work, and reports whether the caller has become the task's owner.
func (t *Task) claim() bool { return t.state.Or(running|pending)&running == 0 }

// run gives the task a turn. The caller is its owner, and a worker if y is not nil. A task with
// more to do, or with new work, goes to the end of the queue: no task can keep a worker to itself.
func (t *Task) run(y *Yielder) {
	t.state.And(^pending)
	if t.sched.turn(t, y) {
		t.sched.queue.pushAgain(t)
		return
	}
	t.endTurn()
	if !t.state.CompareAndSwap(running, 0) {
		t.sched.queue.push(t)
	}
}

// moved notes n bytes of this turn.
func (t *Task) moved(n int) {
	if t.turn = int32(min(int(t.turn)+n, math.MaxInt32)); t.turn <= shortTurn {
		return
	}
	t.calm = 0
	if t.swollen = int32(min(int(t.swollen)+n, bulkAfter)); t.swollen == bulkAfter && t.Pace() != Bulk {
		t.pace.Store(uint32(Bulk))
	}
}

// endTurn is for a task with nothing left to move.
func (t *Task) endTurn() {
	if t.turn > 0 && t.turn <= shortTurn && t.swollen > 0 {
		if t.calm++; t.calm == calmTurns {
			t.Rest()
		}
	}
	t.turn = 0
}
