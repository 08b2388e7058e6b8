//go:build linux

package limits

import (
	"runtime"
	"testing"
)

// The router leaves half of the processors to the kernel, unless the operator has said how many it
// may use. The test changes GOMAXPROCS, so no other runs beside it.
func TestHalfOfProcessors(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, test := range []struct {
		before int
		env    string
		want   int
	}{{8, "", 4}, {3, "", 1}, {1, "", 1}, {8, "8", 8}} {
		runtime.GOMAXPROCS(test.before)
		HalfOfProcessors(func(string) string { return test.env })
		if got := Workers(); got != test.want {
			t.Errorf("%d processors, GOMAXPROCS=%q: %d workers, want %d", test.before, test.env, got, test.want)
		}
	}
}
