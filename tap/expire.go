package tap

import (
	"context"
	"slices"
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

// runTimers returns when no flow can expire.
func (t *Tap) runTimers(ctx context.Context) error {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	var s standstills
	for last := time.Now(); t.live.timed(); {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
			now := time.Now()
			stood := s.note(now.Sub(last), t.live.Lifetime(tracker.StateSYNReceived))
			last = now
			t.expire(stood)
		}
	}
	return nil
}

// expire ends what should have ended before the time up to which the link has been read, which is
// later by the time for which this process has stood still.
func (t *Tap) expire(stood time.Duration) {
	now := t.now()
	before := now.Add(-stood)
	for _, queue := range append([]*Tap{t}, t.others...) {
		if upTo := queue.ReadUpTo(); upTo.Before(before) {
			before = upTo
		}
	}
	t.live.Expire(now, before)
}

// standstills are the times in which this process has not run, because the machine was busy,
// suspended or stopped: late ticks show them. Packets that arrived then may not have been read, so
// these times do not count for a handshake.
type standstills struct {
	ran time.Duration // that the process has run
	all []standstill
}

type standstill struct{ at, lasted time.Duration } // at = ran

// late is how much later a tick comes after a standstill.
const late = 200 * time.Millisecond

// note takes the time since the last tick, and returns for how long, at most, the process has stood
// still since it had run a while less than now.
func (s *standstills) note(passed, while time.Duration) (sum time.Duration) {
	s.ran += min(passed, tick)
	if passed >= tick+late {
		s.all = append(s.all, standstill{s.ran, passed - tick})
	}
	s.all = slices.DeleteFunc(s.all, func(one standstill) bool { return one.at <= s.ran-while-tick })
	if len(s.all) > 0 {
		sum = tick // it may have stopped right after one
	}
	for _, one := range s.all {
		sum += one.lasted
	}
	return sum
}

// timed reports whether a flow has a deadline.
func (l *live) timed() bool {
	return l.HalfOpen()+l.Count(tracker.StateHeld)+l.Count(tracker.StateUnanswered)+
		l.Count(tracker.StateClosed) > 0
}
