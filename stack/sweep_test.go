//go:build linux

package stack

import (
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"syntap/stack/sched"
)

// many returns a stack with established connections that do nothing, for a number of batches.
func many(workers, batches int) *Stack {
	s := &Stack{engine: &engine{sched: sched.New(workers)}, conns: make(map[connKey]*conn)}
	s.o.setDefaults()
	for i := range batches * sweepBatch {
		c := new(conn)
		c.phase.Store(established)
		s.conns[connKey{client: netip.AddrPortFrom(netip.Addr{}, uint16(i))}] = c
	}
	return s
}

// While the sweeper looks at many connections, goroutines that wait for a descriptor get to run, on
// one processor too. The test has a process of its own.
func TestSweepYields(t *testing.T) {
	t.Parallel()
	if runtime.GOMAXPROCS(0) > 1 {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSweepYields$", "-test.v")
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
	var read atomic.Int64
	go func() {
		for b := make([]byte, 1); ; read.Add(1) {
			if n, _ := r.Read(b); n == 0 {
				return
			}
		}
	}()
	const batches = 20
	s := many(1, batches)
	y := s.sched.NewYielder()
	defer y.Close()
	wrote := int64(0)
	s.eachRelayed(y, func(*conn) {
		if read.Load() < wrote {
			return
		}
		if _, err := w.Write([]byte{0}); err != nil {
			t.Error(err)
		}
		wrote++
	})
	if n := read.Load(); n < batches/2 {
		t.Errorf("%d bytes were read during %d batches", n, batches)
	}
}

// However long the sweeper takes for all connections together, this process runs.
func TestLongSweepIsNoStandstill(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const batches = 20
		s := many(2, batches)
		s.stood.note(s.o.sweepTick())
		s.eachRelayed(s.sched.NewYielder(), func(*conn) { time.Sleep(stall / sweepBatch) })
		if stood := s.stood.sofar(); stood > 0 {
			t.Errorf("a sweep of %v counts as a standstill of %v", batches*stall, stood)
		}
	})
}
