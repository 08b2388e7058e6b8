//go:build linux

package stack

import (
	"runtime"
	"time"
)

// stillFor is for how many of those a flow has moved nothing when it is tightened. One with a large
// buffer is given the whole interval: its far side may send what the window promised, and would
// send it again, ever later, if it found no room.
const stillFor = 4

// sweepFaster is how many sweeps there are in an interval when memory is scarce.
const sweepFaster = 10

// sweepUntil sweeps until stop is closed. One goroutine does it for all flows: a timer for each
// would have to be moved with every byte.
func (s *Stack) sweepUntil(stop <-chan struct{}) {
	ticker := time.NewTicker(s.o.sweepInterval / sweepFaster)
	defer ticker.Stop()
	for tick := 1; ; tick++ {
		select {
		case <-stop:
			return
		case <-ticker.C:
			s.lingering.sweep(&s.memory, false)
			switch {
			case s.memory.scarce():
				s.sweep(1)
			case tick%sweepFaster == 0:
				s.sweep(sweepFaster)
			}
		}
	}
}

// sweep has flows give back what they do not need that have been quiet since the last sweep, and
// weighs all.
func (s *Stack) sweep(ticks int) {
	for i, f := range s.openFlows() {
		if i%sweepBatch == sweepBatch-1 {
			runtime.Gosched()
		}
		f.weigh()
		f.fitSocket()
		switch {
		case f.moved.Swap(false):
			f.still = 0
		case f.still < stillFor || f.still < sweepFaster && f.large() || f.payer.scarce() && !f.tight.Load():
			f.still += ticks
			if f.still >= stillFor && (f.still >= sweepFaster || !f.large()) {
				f.outbound.rest()
				f.inbound.rest()
			}
		}
	}
}

// sweepBatch is after how many flows the sweeper gives way: for a tenth of a millisecond they wait
// for it.
const sweepBatch = 64

// rest has a half that nothing has moved through shrink its buffer.
func (h *half) rest() {
	h.quiet.Store(true)
	h.Wake()
}

func (s *Stack) openFlows() []*flow {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*flow
	for _, f := range s.flows {
		if f.phase.Load() == established {
			all = append(all, f)
		}
	}
	return all
}
