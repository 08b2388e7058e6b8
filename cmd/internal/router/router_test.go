//go:build linux

package router

import (
	"runtime"
	"testing"
	"time"
)

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
