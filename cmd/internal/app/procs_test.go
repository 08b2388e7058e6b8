package app

import (
	"runtime"
	"testing"
)

// It changes GOMAXPROCS, so nothing runs beside it.
func TestLendProc(t *testing.T) {
	before := runtime.GOMAXPROCS(1)
	defer runtime.GOMAXPROCS(before)
	if lendProc(func(string) string { return "1" }) != nil {
		t.Error("a processor is lent although the operator has set how many there are")
	}
	crowded := lendProc(func(string) string { return "" })
	if runtime.NumCPU() == 1 {
		if crowded != nil {
			t.Error("a processor is lent that there is not")
		}
		return
	}
	for _, step := range []struct {
		crowded bool
		want    int
	}{{true, 2}, {false, 1}} {
		crowded(step.crowded)
		if got := runtime.GOMAXPROCS(0); got != step.want {
			t.Errorf("crowded = %t: %d processors, want %d", step.crowded, got, step.want)
		}
	}
}
