package e2e_test

import (
	"context"
	"sync/atomic"
	"time"
)

// runTime is a clock that stands still while this process does not run: limits of durations are
// about the router, not about a machine that stalls for seconds.
type runTime struct{ ticks atomic.Int64 }

const runTick = 10 * time.Millisecond

// startRunTime starts a clock at 0, which goes until ctx ends. A ticker drops the ticks that find
// no receiver.
func startRunTime(ctx context.Context) *runTime {
	c := new(runTime)
	go func() {
		tick := time.NewTicker(runTick)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				c.ticks.Add(1)
			case <-ctx.Done():
				return
			}
		}
	}()
	return c
}

func (c *runTime) now() time.Duration { return time.Duration(c.ticks.Load()) * runTick }
