//go:build linux

package app

import (
	"runtime"
	"testing"
	"time"
)

// The router leaves half of the processors to the kernel, unless the operator has said how many it
// may use. The test changes GOMAXPROCS, so no other runs beside it.
func TestLimitProcs(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, test := range []struct {
		before int
		env    string
		want   int
	}{{8, "", 4}, {3, "", 1}, {1, "", 1}, {8, "8", 8}} {
		runtime.GOMAXPROCS(test.before)
		LimitProcs(func(string) string { return test.env })
		if got := workers(); got != test.want {
			t.Errorf("%d processors, GOMAXPROCS=%q: %d workers, want %d", test.before, test.env, got, test.want)
		}
	}
}

// A poll would take a processor from others where Go may use all.
func TestBusyPollNeedsASpareProcessor(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	runtime.GOMAXPROCS(runtime.NumCPU())
	if d := busyPoll(time.Millisecond); d != 0 {
		t.Errorf("a limit of %v without a spare processor, want 0", d)
	}
	if runtime.NumCPU() == 1 {
		return
	}
	runtime.GOMAXPROCS(runtime.NumCPU() - 1)
	if d := busyPoll(time.Millisecond); d != time.Millisecond {
		t.Errorf("a limit of %v with a spare processor, want 1 ms", d)
	}
}
