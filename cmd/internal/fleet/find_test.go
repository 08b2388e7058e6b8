package fleet

import (
	"os"
	"testing"
	"time"

	"syntap/tun/tuntest"
)

// A router whose clock is set back, or ahead, and that is killed before the proof goes on with the
// records that the store lacks.
func TestClockSteps(t *testing.T) {
	t.Parallel()
	for name, steps := range map[string][]time.Duration{
		"back":            {time.Hour, 0},
		"ahead":           {0, time.Hour},
		"back and ahead":  {time.Hour, 0, 2 * time.Hour},
		"ahead and back":  {0, 2 * time.Hour, -time.Hour},
		"back behind all": {48 * time.Hour, 0, -48 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, store := newLog(t), newFakeStore()
			unproven := func(o *Options) { o.Times.Proof = time.Hour }
			for i, ahead := range steps {
				l.ahead = ahead
				l.write(50, "x")
				if i == 0 {
					s, stop := l.start(store)
					l.confirmed(s)
					stop()
					continue
				}
				s, stop := l.start(store, unproven)
				tuntest.Wait(t, "records on their way", func() bool { return s.Stats()[0].Records >= 50 })
				stop()
			}
			l.write(50, "y")
			s, _ := l.start(store)
			l.confirmed(s)
			l.holds(store, l.id(), l.lines)
			if now := s.Stats()[0]; now.Records != 50 {
				t.Errorf("stats %+v, want that the last 50 were sent", now)
			}
		})
	}
}

// The oldest file is removed while a shipper finds its place: the log has the name of the first
// record that is left.
func TestOldestRemoved(t *testing.T) {
	t.Parallel()
	l, store := newLog(t), newFakeStore()
	l.write(50, "x")
	old := l.rotate(false)
	l.write(50, "x")
	store.between = func() {
		if err := os.Remove(old); err != nil {
			t.Error(err)
		}
	}
	s, _ := l.start(store)
	l.confirmed(s)
	l.holds(store, LogID{Router: "gate", Log: LogIDOf([]byte(l.lines[50]))}, l.lines[50:])
	if len(store.logs) != 1 {
		t.Errorf("%d logs, want one", len(store.logs))
	}
}
