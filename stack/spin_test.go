//go:build linux

package stack

import (
	"testing"
	"time"
)

// The spinner stays interested in traffic that comes thick and fast, and loses interest in what comes alone.
func TestSpin(t *testing.T) {
	t.Parallel()
	sp := newSpinner(time.Millisecond)
	ended, done := make(chan struct{}), make(chan struct{})
	go func() {
		sp.run(ended)
		close(done)
	}()
	defer func() {
		close(ended)
		<-done
	}()
	sleeps := func(events int64) func() bool { return func() bool { return sp.skip.Load() == events } }

	eventually(t, "asleep without traffic", sleeps(tryEvery))
	for range tryEvery - 1 {
		sp.noted()
	}
	if !sleeps(1)() {
		t.Errorf("woken by the %dth event of %d", tryEvery-sp.skip.Load(), tryEvery)
	}
	eventually(t, "interested in traffic", func() bool {
		for range 50 {
			sp.noted()
			time.Sleep(sp.d / 20) // the spinner may need the processor
		}
		for sp.skip.Load() <= 0 { // until it has slept again
			time.Sleep(time.Millisecond)
		}
		return sleeps(1)()
	})
	eventually(t, "uninterested in what comes alone", func() bool {
		if sp.skip.Load() == 1 {
			sp.noted()
		}
		return sleeps(tryEvery)()
	})
}
