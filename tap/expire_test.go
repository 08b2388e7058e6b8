package tap

import (
	"testing"
	"time"
)

func TestStandstills(t *testing.T) {
	const while = 5 * time.Second
	var s standstills
	for i, tt := range []struct {
		passed, want time.Duration
	}{
		{tick, 0},
		{tick + late/2, 0},
		{8 * tick, 8 * tick},
		{tick, 8 * tick},
		{3 * tick, 10 * tick},
		{tick, 10 * tick},
		{tick, 10 * tick},
		{tick, 10 * tick},
		{tick, 3 * tick}, // the first is over after while, and a tick
		{tick, 3 * tick},
		{tick, 0},
	} {
		if got := s.note(tt.passed, while); got != tt.want {
			t.Errorf("tick %d after %v: stood still for %v, want %v", i, tt.passed, got, tt.want)
		}
	}
}
