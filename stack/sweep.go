//go:build linux

package stack

import "time"

// sweepUntil sweeps until stop is closed. One goroutine does it for all flows: a timer for each would have to be moved with
// every byte.
func (s *Stack) sweepUntil(stop <-chan struct{}) {
	ticker := time.NewTicker(s.o.sweepInterval)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
			s.sweep()
		}
	}
}

// sweep has flows give back their large buffers that have been quiet since the last sweep.
func (s *Stack) sweep() {
	for _, f := range s.openFlows() {
		switch {
		case f.moved.Swap(false):
			f.rested = false
		case !f.rested:
			f.rested = true
			f.outbound.rest()
			f.inbound.rest()
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
