//go:build linux

package limits

import (
	"runtime"
)

// HalfOfProcessors keeps half of the processors free of Go, for the kernel, which carries each
// packet twice more. It changes nothing where the operator has set GOMAXPROCS.
//
// With as many processors as there are, goroutines wake each other by interrupts. On two processors
// that costs 1.3 and 1.6 times the processor time for a GB of one upload and download, and 1.9 and
// 1.1 times that for eight, and is not faster. It has not been measured on more than two.
func HalfOfProcessors(getenv func(string) string) {
	if getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(max(1, runtime.GOMAXPROCS(0)/2))
	}
}

// OneProcessor has a process that waits for most of its time take one processor at a time. It
// changes nothing where the operator has set GOMAXPROCS.
func OneProcessor(getenv func(string) string) {
	if getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1)
	}
}

// Workers returns how many goroutines of the router can run at a time.
func Workers() int { return runtime.GOMAXPROCS(0) }
