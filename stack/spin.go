//go:build linux

package stack

import (
	"sync/atomic"
	"time"

	"syntap/stack/sched"
)

// spinner keeps this process awake for a while after traffic (Options.Spin). What comes then is
// seen at once, while waking up takes longer than everything else that is done for a small packet.
// It pauses again and again, so that whoever has something to do gets to it.
//
//	          more traffic: worth + 1
//	             ╭────╮
//	traffic ──▶ awake ─┴─ d without: worth - 2 ──▶ asleep ──▶ traffic, worth > 0 ──▶ awake
//	                                                    ╰───▶ every 16th else
//
// So it costs next to nothing where a wait is seldom as short as d: with a far end that is not
// near.
type spinner struct {
	d     time.Duration
	worth int           // of spinning, 0 to maxWorth
	seen  atomic.Uint64 // frames, and rounds of the poller with events
	skip  atomic.Int64  // how many of them to sleep through; 0 or less = awake
	wake  chan struct{} // holds a token when there is traffic
}

const (
	maxWorth = 16
	tryEvery = 16
)

func newSpinner(d time.Duration) *spinner {
	return &spinner{d: d, wake: make(chan struct{}, 1)}
}

// noted says that there has been traffic other than bulk, where the next frame is there soon
// enough. Without a spinner nobody wants to know.
func (sp *spinner) noted() {
	if sp == nil {
		return
	}
	sp.seen.Add(1)
	if sp.skip.Load() > 0 && sp.skip.Add(-1) == 0 {
		sp.wake <- struct{}{}
	}
}

// run spins and sleeps until ended is closed.
func (sp *spinner) run(y *sched.Yielder, ended <-chan struct{}) {
	defer y.Close()
	for {
		sp.spin(y.Yield)
		select {
		case <-sp.wake:
		case <-ended:
			return
		}
	}
}

// spin gives way again and again until nothing has come for d, and then has traffic wake the
// spinner.
func (sp *spinner) spin(giveWay func()) {
	seen := sp.seen.Load()
	for since := time.Now(); time.Since(since) < sp.d; {
		if giveWay(); sp.seen.Load() != seen {
			seen, since = sp.seen.Load(), time.Now()
			sp.worth = min(sp.worth+1, maxWorth)
		}
	}
	if sp.worth = max(sp.worth-2, 0); sp.worth > 0 {
		sp.skip.Store(1)
	} else {
		sp.skip.Store(tryEvery)
	}
}
