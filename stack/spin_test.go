//go:build linux

package stack

import (
	"testing"
	"time"

	"syntap/stack/sched"
)

// The spinner stays interested in traffic that comes thick and fast, and loses interest in what
// comes alone.
func TestSpin(t *testing.T) {
	t.Parallel()
	sp := newSpinner(0)
	spin := func(events int) {
		sp.d = time.Hour
		sp.spin(func() {
			if events--; events >= 0 {
				sp.noted()
			} else {
				sp.d = 0 // over
			}
		})
	}
	wantWokenBy := func(when string, want int) {
		t.Helper()
		n := 0
		for ; len(sp.wake) == 0 && n <= tryEvery; n++ {
			sp.noted()
		}
		if n != want {
			t.Errorf("%s the spinner is woken by %d events, want %d", when, n, want)
		}
		<-sp.wake
	}
	spin(0)
	wantWokenBy("without a score", tryEvery)
	spin(2)
	wantWokenBy("after two events", tryEvery)
	spin(4)
	wantWokenBy("after four events", 1)
	spin(0)
	wantWokenBy("after one that came alone", tryEvery)
	spin(1000)
	for range maxWorth/2 - 2 {
		wantWokenBy("after many events", 1)
		spin(0)
	}
	wantWokenBy("after several that came alone", 1)
	spin(0)
	wantWokenBy("after as many as the score allows", tryEvery)
}

// A spinner that runs sleeps without traffic, and ends.
func TestSpinnerRuns(t *testing.T) {
	t.Parallel()
	sp := newSpinner(time.Microsecond)
	ended, done := make(chan struct{}), make(chan struct{})
	go func() {
		sp.run(sched.New(1).NewYielder(), ended)
		close(done)
	}()
	eventually(t, "asleep", func() bool { return sp.skip.Load() == tryEvery })
	for range tryEvery {
		sp.noted()
	}
	eventually(t, "awake, and asleep again", func() bool { return len(sp.wake) == 0 && sp.skip.Load() == tryEvery })
	close(ended)
	<-done
}
