package tap

import (
	"context"
	"time"

	"syntap/tap/tracker"
)

// tick is how late a timeout may come.
const tick = time.Second

// Run ends handshakes at their deadlines until ctx is cancelled. While no flow has a deadline it
// waits for a SYN.
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

// runTimers returns when no flow can expire. A late tick shows that this process has not run,
// because the machine was busy, suspended or stopped. Then the packets that have arrived are read
// before a handshake expires.
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
