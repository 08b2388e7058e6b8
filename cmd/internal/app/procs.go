//go:build linux

package app

import (
	"runtime"
	"time"
)

// LimitProcs keeps half of the processors free of Go: the kernel needs them to carry packets. With
// more runnable goroutines than work for them, each wake-up would cost an interrupt to another
// processor. It changes nothing where the operator has set GOMAXPROCS.
func LimitProcs(getenv func(string) string) {
	if getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(max(1, runtime.GOMAXPROCS(0)/2))
	}
}

// workers returns how many goroutines of the router can run at a time.
func workers() int { return runtime.GOMAXPROCS(0) }

// busyPoll returns limit, or 0 where Go may use all processors: a poll would take one from clients.
func busyPoll(limit time.Duration) time.Duration {
	if runtime.NumCPU() <= workers() {
		return 0
	}
	return limit
}
