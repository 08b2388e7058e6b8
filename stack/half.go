//go:build linux

package stack

import (
	"sync/atomic"

	"syntap/stack/sched"
)

// half is one direction of a flow. The poller and netstack's callbacks wake it.
type half struct {
	sched.Task
	flow    *flow
	move    func(f *flow, budget int) (moved int, more bool) // moveOutbound or moveInbound
	done    bool                                             // no more work will come of it; like the next two the owner's
	bytes   uint64                                           // moved in all
	carried int                                              // bytes since its buffer in netstack was small, up to growAfter
	large   atomic.Bool                                      // the buffer is large, and paid from the budget; set by the owner
	quiet   atomic.Bool                                      // set by the sweeper: nothing has moved for long
}

func (h *half) init(f *flow, move func(f *flow, budget int) (moved int, more bool)) {
	h.flow, h.move = f, move
	h.Init(f.stack.sched, h)
}

// Step implements sched.Stepper.
func (h *half) Step(budget int) (moved int, more bool) {
	if h.quiet.Load() && h.quiet.Swap(false) && !h.done {
		h.shrink()
	}
	if h.done {
		return 0, false
	}
	return h.move(h.flow, budget)
}
