//go:build linux

package app

import "runtime"

// LimitProcs keeps half of the processors free of Go: the kernel needs them to carry packets. With
// more runnable goroutines than work for them, each wake-up would cost an interrupt to another
// processor. It changes nothing where the operator has set GOMAXPROCS.
func LimitProcs(getenv func(string) string) {
	if getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(max(1, runtime.GOMAXPROCS(0)/2))
	}
}

// workers is how many goroutines of the router can run at a time.
func workers() int { return runtime.GOMAXPROCS(0) }
