package fleet

import (
	"context"
	"os"
	"testing"
	"time"

	logrustest "github.com/sirupsen/logrus/hooks/test"

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

// stalled is a store that answers no question.
type stalled struct {
	*fakeStore
	asked chan struct{}
}

func (s *stalled) Has(ctx context.Context, _ LogID, _ Range) ([]Run, error) {
	s.asked <- struct{}{}
	<-ctx.Done()
	return nil, ctx.Err()
}

// A shipper that ends while it asks a store does not call that a failure of the store.
func TestEndedQuestion(t *testing.T) {
	t.Parallel()
	l, store := newLog(t), &stalled{newFakeStore(), make(chan struct{}, 1)}
	logger, hook := logrustest.NewNullLogger()
	l.write(10, "x")
	s, stop := l.start(store, func(o *Options) { o.Logger = logger })
	<-store.asked
	stop()
	if all := hook.AllEntries(); len(all) > 0 || s.Stats()[0].Error != "" {
		t.Errorf("reports %v, stats %+v", all, s.Stats()[0])
	}
}
