//go:build linux

package sched

import (
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"syntap/tun/raw"
)

// Yielder lets a goroutine with much work give way to those that have become ready.
//
// Go's runtime polls descriptors when a goroutine waits for one, when nothing else can run, and
// every ten milliseconds. With one worker a frame or an event would wait that long. So a yield
// there waits for a descriptor that is always readable, which makes the runtime poll all, and then
// lets the goroutines run that have become ready. With several workers one of them runs no bulk
// task, so its processor polls by itself; a yield is then a [runtime.Gosched].
//
// A Yielder is for one goroutine.
type Yielder struct {
	file   *os.File // an eventfd; nil where a yield is a Gosched
	raw    syscall.RawConn
	raise  func(fd uintptr) bool
	raised bool
	bytes  int // moved since the last yield
}

// NewYielder returns a Yielder for a worker of s, or for a goroutine beside them. Without a free
// descriptor each of its yields is a Gosched.
func (s *Scheduler) NewYielder() *Yielder {
	y := new(Yielder)
	if s.workers > 1 {
		return y
	}
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return y
	}
	y.file = os.NewFile(uintptr(fd), "eventfd")
	if y.raw, err = y.file.SyscallConn(); err != nil {
		y.Close()
		y.file = nil
		return y
	}
	y.raise = func(fd uintptr) bool {
		if y.raised {
			return true
		}
		y.raised = true
		one := [8]byte{0: 1}
		_, _ = raw.Write(int(fd), one[:]) // an edge each time; the sum is never read
		return false
	}
	return y
}

// Moved counts n bytes. It yields if that makes every bytes since the last yield, and reports
// whether it has.
func (y *Yielder) Moved(n, every int) bool {
	if y.bytes += n; y.bytes < every {
		return false
	}
	y.bytes = 0
	y.Yield()
	return true
}

// Yield yields at once.
func (y *Yielder) Yield() {
	if y.file != nil {
		y.raised = false
		_ = y.raw.Read(y.raise) // fails only when closed
	}
	runtime.Gosched()
}

// Close releases the Yielder's descriptor.
func (y *Yielder) Close() {
	if y.file != nil {
		_ = y.file.Close()
	}
}
