//go:build linux

package stack

import (
	"sync/atomic"
	"time"
)

// spinner keeps this process awake for a while after traffic (Options.Spin). What comes then is seen at once, while waking up
// takes longer than everything else that is done for a small packet. It pauses again and again, so that whoever has something
// to do gets to it.
type spinner struct {
	d      time.Duration
	seen   atomic.Uint64 // frames, and rounds of the poller with events
	asleep atomic.Bool
	wake   chan struct{} // holds a token when there is traffic
}

// noted says that there has been traffic. Without a spinner nobody wants to know.
func (sp *spinner) noted() {
	if sp == nil {
		return
	}
	sp.seen.Add(1)
	if sp.asleep.Load() && sp.asleep.CompareAndSwap(true, false) {
		sp.wake <- struct{}{}
	}
}

// run spins until ended is closed.
func (sp *spinner) run(ended <-chan struct{}) {
	pause := newPause(0)
	defer pause.close()
	for {
		seen := sp.seen.Load()
		for until := time.Now().Add(sp.d); time.Now().Before(until); {
			pause.take()
			if n := sp.seen.Load(); n != seen {
				seen, until = n, time.Now().Add(sp.d)
			}
		}
		sp.asleep.Store(true)
		if sp.seen.Load() != seen && sp.asleep.CompareAndSwap(true, false) {
			continue
		}
		select {
		case <-sp.wake:
		case <-ended:
			return
		}
	}
}
