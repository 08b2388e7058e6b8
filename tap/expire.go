package tap

import (
	"context"
	"time"
)

// givesUp is when netstack forgets an attempt by itself that never got its third segment: 127 s
// after its SYN-ACK.
const givesUp = 130 * time.Second

// tick is how late a timeout may come.
const tick = time.Second

// Run ends attempts whose time is over, until ctx is cancelled. While no attempt is open it sleeps.
func (t *Tap) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.tracker.wake:
		}
		if err := t.runTimers(ctx); err != nil {
			return nil
		}
	}
}

// runTimers returns when nothing is left to expire. A tick that comes late tells that this process
// has not run, because the machine was busy, asleep or stopped: what came meanwhile is read before
// anything is given up.
func (t *Tap) runTimers(ctx context.Context) error {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	last := time.Now()
	for t.tracker.timed() {
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
			t.tracker.expire(t.now())
		}
	}
	return nil
}

// timed reports whether a flow has a deadline.
func (t *table) timed() bool {
	return t.places()+t.count[silent].Load()+t.count[told].Load() > 0
}

// expire ends what was due at now.
func (t *Tracker) expire(now time.Time) {
	for i := range t.shards {
		sh := &t.shards[i]
		sh.mu.Lock()
		for _, c := range []class{opening, answered, held, silent, told} {
			for f := sh.lists[c].first; f != nil && !now.Before(f.deadline); f = sh.lists[c].first {
				if f.attempt == nil {
					t.move(sh, f, absent, now)
					continue
				}
				if f.router == dialling { // no longer, after so long
					f.router = idle
				}
				t.finish(sh, f, f.attempt.unanswered(), now)
			}
		}
		t.deliver(sh)
	}
}
