//go:build linux

package stack

import (
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"testing"
)

// Whoever has become ready goes before the one that pauses. That shows with one P alone, so the
// test has a process of its own.
func TestPauseLetsOthersFirst(t *testing.T) {
	t.Parallel()
	if runtime.GOMAXPROCS(0) > 1 {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPauseLetsOthersFirst$", "-test.v")
		cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v:\n%s", err, out)
		}
		return
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	var seen atomic.Int32
	go func() {
		b := make([]byte, 1)
		for {
			if n, _ := r.Read(b); n == 0 {
				return
			}
			seen.Add(1)
		}
	}()
	p := newPause()
	defer p.close()
	const times = 100
	first := 0
	for i := range times {
		if _, err := w.Write([]byte{0}); err != nil {
			t.Fatal(err)
		}
		p.moved(1, 1)
		if int(seen.Load()) == i+1 {
			first++
		}
	}
	// Now and then Go's runtime looks at those first that have been waiting elsewhere.
	if first < times*3/4 {
		t.Errorf("the reader was before us %d times of %d", first, times)
	}
}
