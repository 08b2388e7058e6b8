package tap

import (
	"context"
	"time"

	"syntap/tap/tracker"
)

// tick is how late a timeout may come.
const tick = time.Second

// Run ends handshakes whose time is over, until ctx is cancelled. It waits for a SYN while no flow
// has a deadline.
func (t *Tap) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.live.begun:
		}
		if err := t.runTimers(ctx); err != nil {
			return nil
		}
	}
}

// runTimers returns when no flow is left to expire. A late tick shows that this process has not
// run, because the machine was busy, asleep or stopped: then packets that came meanwhile are read
// before a handshake is given up.
func (t *Tap) runTimers(ctx context.Context) error {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	last := time.Now()
	for t.live.timed() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
			now := time.Now()
			stalled := now.Sub(last) > 2*tick
			last = now
			if stalled {
				ticker.Reset(tick)
				continue
			}
			t.live.Expire(t.now())
		}
	}
	return nil
}

// timed reports whether a flow has a deadline.
func (l *live) timed() bool {
	return l.HalfOpen()+l.Count(tracker.StateHeld)+l.Count(tracker.StateUnanswered)+
		l.Count(tracker.StateClosed) > 0
}
