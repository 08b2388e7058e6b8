//go:build linux

package stack

import "sync/atomic"

// half is one direction of a flow. It is a unit of work, not a goroutine: whoever brings news (the
// poller, a netstack callback) claims it, and exactly one goroutine owns it while it runs.
//
//	        claim: push, or run at once            step: more to do
//	idle ───────────────────────────────▶ running ──────────────────▶ queue
//	 ▲                                       │  ▲
//	 │ nothing new came meanwhile            │  │ claim: sets pending only
//	 └───────────────────────────────────────┘  └─── looks again
type half struct {
	flow    *flow
	step    func(f *flow, w *worker) (more bool) // moveOutbound or moveInbound
	turn    int                                  // bytes moved since it was its turn; owned like the half
	state   atomic.Uint32                        // running | pending
	done    bool                                 // owned like the half: no more work will come of it
	bytes   uint64                               // that have gone through; owned like the half
	carried int                                  // bytes since its buffer in netstack was small, up to growAfter; owned like the half
	large   atomic.Bool                          // the buffer is large, and paid from the budget; set by the owner
	bulk    atomic.Bool                          // in full swing; set by the owner
	calm    int                                  // turns in a row that moved little; owned like the half
	quiet   atomic.Bool                          // set by the sweeper: nothing has moved for long
	next    *half                                // in the run queue
}

const (
	running uint32 = 1 << iota // owned by a goroutine, or queued
	pending                    // something came after the owner last looked
)

// claim notes that there is news and reports whether the caller has become the owner.
func (h *half) claim() bool {
	return h.state.Or(running|pending)&running == 0
}

// kick has the half run by a worker. It may be called with netstack's locks held.
func (h *half) kick() {
	if h.claim() {
		h.flow.stack.queue.push(h)
	}
}

// news has the half run at once if it is not one that takes long.
func (h *half) news(w *worker) {
	if h.bulk.Load() {
		h.kick()
		return
	}
	if h.claim() {
		h.own(w)
	}
}

// own runs the half until nothing is new. The caller is its owner.
func (h *half) own(w *worker) {
	for {
		h.state.And(^pending)
		if h.quiet.Load() && h.quiet.Swap(false) && !h.done {
			h.shrink()
		}
		if !h.done && h.step(h.flow, w) {
			h.state.Or(pending)
			h.flow.stack.queue.pushAgain(h)
			return
		}
		h.endTurn()
		if h.state.CompareAndSwap(running, 0) {
			return
		}
	}
}

// A half with a large buffer is in full swing from a turn that moves more than littleTurn bytes on
// until calmTurns in a row have moved less: an old session in which somebody types is not taken for
// a download.
const (
	littleTurn = 16 << 10
	calmTurns  = 16
)

// noteTurn notes that n bytes have been moved in this turn.
func (h *half) noteTurn(n int) {
	if h.turn += n; h.turn > littleTurn && h.large.Load() {
		h.calm = 0
		h.bulk.Store(true)
	}
}

// endTurn is for when nothing is left to move.
func (h *half) endTurn() {
	if h.turn <= littleTurn && h.calm < calmTurns {
		if h.calm++; h.calm == calmTurns {
			h.bulk.Store(false)
		}
	}
	h.turn = 0
}
