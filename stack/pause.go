//go:build linux

package stack

import (
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// How many bytes are moved before a pause. What a worker makes wait is late by some ten
// microseconds for each chunk; what the reader does not take waits behind everything that clients
// still send, so it reads on for longer.
const (
	slice      = 4 * maxChunk // of a worker
	mixedSlice = maxChunk     // of a worker when there has been something besides bulk lately
	readSlice  = 16 * slice   // of the reader
)

// pause lets a goroutine that has much to do give way to those that have become ready meanwhile:
// the reader when there is a frame, the poller when there is news from a socket. Go's runtime looks
// for those only when nothing else can run, or every ten milliseconds: with one P the reader would
// wait for a worker for as long as that. So the goroutine waits, with them, for a descriptor that
// is readable at once, and then lets them go first: the runtime begins with what became ready last.
// With several Ps one is left for them (runqueue.go). A pause is for one goroutine.
type pause struct {
	file   *os.File // an eventfd; nil where a pause only yields
	raw    syscall.RawConn
	raise  func(fd uintptr) bool
	raised bool
	bytes  int // moved since the last pause
}

// newPause returns a pause. One that has no descriptor only yields.
func newPause() *pause {
	p := new(pause)
	if runtime.GOMAXPROCS(0) > 1 {
		return p
	}
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return p
	}
	p.file = os.NewFile(uintptr(fd), "eventfd")
	if p.raw, err = p.file.SyscallConn(); err != nil {
		p.close()
		p.file = nil
		return p
	}
	p.raise = func(fd uintptr) bool {
		if p.raised {
			return true
		}
		p.raised = true
		one := [8]byte{0: 1}
		_, _ = unix.Write(int(fd), one[:]) // an edge each time; nobody reads the sum
		return false
	}
	return p
}

// moved notes n bytes and pauses after every so many; it reports whether it did.
func (p *pause) moved(n, every int) bool {
	if p.bytes += n; p.bytes < every {
		return false
	}
	p.bytes = 0
	p.take()
	if p.file != nil {
		runtime.Gosched()
	}
	return true
}

// take pauses now.
func (p *pause) take() {
	if p.file == nil {
		runtime.Gosched()
		return
	}
	p.raised = false
	_ = p.raw.Read(p.raise) // fails only when closed
}

func (p *pause) close() {
	if p.file != nil {
		_ = p.file.Close()
	}
}
