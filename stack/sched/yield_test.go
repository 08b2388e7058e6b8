//go:build linux

package sched

import (
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"testing"

	"syntap/tun/tuntest"
)

// With one processor, and a worker that never has to wait, a goroutine that waits for a descriptor
// still gets to run within a few steps: the worker yields to it, from a task that drains beside
// interactive traffic. The test has a process of its own.
func TestYieldOnOneProcessor(t *testing.T) {
	t.Parallel()
	if runtime.GOMAXPROCS(0) > 1 {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestYieldOnOneProcessor$", "-test.v")
		cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v:\n%s", err, out)
		}
		return
	}
	yieldOnOneProcessor(t, false)
	yieldOnOneProcessor(t, true)
}

func yieldOnOneProcessor(t *testing.T, drains bool) {
	t.Helper()
	s := start(t, 1)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	var read atomic.Int64
	go func() {
		b := make([]byte, 1)
		for {
			if n, _ := r.Read(b); n == 0 {
				return
			}
			read.Add(1)
		}
	}()
	const times = 100
	steps := 0
	wrote := 0
	done := make(chan struct{})
	d := newWork(s, func(budget int) (int, bool) {
		if read.Load() == int64(wrote) {
			if wrote == times {
				close(done)
				return 0, false
			}
			if _, err := w.Write([]byte{0}); err != nil {
				t.Error(err)
			}
			wrote++
		}
		steps++
		if drains {
			s.NoteInteractive()
		}
		return budget, true
	})
	d.drains = drains
	d.Wake()
	tuntest.Receive(t, "end", done)
	// Without a yield the runtime would look every ten milliseconds, which is thousands of steps.
	if steps > 20*times {
		t.Errorf("%d bytes were read within %d steps", times, steps)
	}
}

// A download yields to goroutines of any kind, with any number of workers.
func TestYield(t *testing.T) {
	t.Parallel()
	eachNumberOfWorkers(t, func(t *testing.T, workers int) {
		s := New(workers)
		y := s.NewYielder()
		defer y.Close()
		if y.Moved(99, 100) {
			t.Error("a yield after 99 of 100 bytes")
		}
		if !y.Moved(1, 100) || y.Moved(99, 100) {
			t.Error("no yield after 100 bytes, or two")
		}
		ran := make(chan struct{})
		go close(ran)
		eventually(t, "another goroutine", func() bool {
			y.Yield()
			select {
			case <-ran:
				return true
			default:
				return false
			}
		})
	})
}
