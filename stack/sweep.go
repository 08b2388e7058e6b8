//go:build linux

package stack

import "time"

// sweepInterval is how often flows are looked at that nothing makes move.
const sweepInterval = 5 * time.Second

// sweepUntil sweeps until stop is closed. One goroutine does it for all flows: a timer for each would have to be moved with
// every byte.
func (s *Stack) sweepUntil(stop <-chan struct{}) {
	ticker := time.NewTicker(min(sweepInterval, s.o.HalfClosedTimeout/4))
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case now := <-ticker.C:
			s.sweep(now)
		}
	}
}

// sweep has quiet flows give back their large buffers, and resets those that have been half closed and quiet for
// HalfClosedTimeout: one end has finished and the other has nothing to say, so nobody may know that it is gone.
func (s *Stack) sweep(now time.Time) {
	for _, f := range s.openFlows() {
		if f.moved.Swap(false) {
			f.quietSince = time.Time{}
			continue
		}
		switch {
		case f.quietSince.IsZero():
			f.quietSince = now
			f.outbound.rest()
			f.inbound.rest()
		case f.lastHalf() && now.Sub(f.quietSince) >= s.o.HalfClosedTimeout:
			s.stats.HalfClosedExpired.Add(1)
			f.abort()
		}
	}
}

// rest has a half that nothing has moved through shrink its buffer.
func (h *half) rest() {
	h.quiet.Store(true)
	h.kick()
}

func (s *Stack) openFlows() []*flow {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*flow
	for _, f := range s.flows {
		if f.phase.Load() == open {
			all = append(all, f)
		}
	}
	return all
}
