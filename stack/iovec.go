//go:build linux

package stack

import (
	"errors"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// gather collects the views of a peek into iovecs, valid only during one step.
type gather struct {
	iov   []unix.Iovec
	size  int // bytes in iov
	limit int // collect no more views once size has reached it
	tight bool

	joined []byte // memory for join
}

// gatherViews and, for a connection with tight buffers, tightWrite bytes limit one writev towards
// the host socket. The kernel takes a segment whole, however small the socket's buffer is.
const (
	gatherViews = 256
	tightWrite  = 1 << 10
)

var errFull = errors.New("gather list full")

// begin empties g.
func (g *gather) begin(limit int, tight bool) {
	if tight {
		limit = 1 // view
	}
	g.iov, g.size, g.limit, g.tight = g.iov[:0], 0, limit, tight
}

// full reports whether netstack may have more views than g.
func (g *gather) full() bool { return len(g.iov) == gatherViews || g.size >= g.limit }

// cut shortens g to its first n bytes, n > 0.
func (g *gather) cut(n int) {
	if n >= g.size {
		return
	}
	g.size = n
	for i := range g.iov {
		v := &g.iov[i]
		if n <= int(v.Len) {
			v.SetLen(n)
			g.iov = g.iov[:i+1]
			return
		}
		n -= int(v.Len)
	}
}

// release gives g to a pool, without the memory that it points to.
func (g *gather) release(pool *sync.Pool) {
	clear(g.iov[:cap(g.iov)])
	pool.Put(g)
}

// view returns the view i, up to the byte n.
func (g *gather) view(i, n int) []byte {
	v := &g.iov[i]
	return unsafe.Slice(v.Base, min(int(v.Len), n))
}

// join returns the bytes before, and behind them the first n bytes of the views, but not more than
// limit. They are valid only as long as the views, and until the next call.
func (g *gather) join(before []byte, n, limit int) []byte {
	if first := g.view(0, n); len(before) == 0 && len(first) == n {
		return first[:min(n, limit)]
	}
	g.joined = append(g.joined[:0], before...)
	for i := 0; n > 0 && len(g.joined) < limit; i++ {
		b := g.view(i, n)
		n -= len(b)
		g.joined = append(g.joined, b[:min(len(b), limit-len(g.joined))]...)
	}
	return g.joined
}

// Write implements io.Writer.
func (g *gather) Write(b []byte) (int, error) {
	if g.full() {
		return 0, errFull
	}
	if n := len(b); n > 0 {
		if g.tight {
			n = min(n, tightWrite)
		}
		v := unix.Iovec{Base: &b[0]}
		v.SetLen(n)
		g.iov = append(g.iov, v)
		g.size += n
	}
	return len(b), nil
}

// The calls below are raw: their descriptors do not block, and a call of microseconds needs no word
// to the scheduler.

func read(fd int, b []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall(unix.SYS_READ,
			uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

func writev(fd int, iov []unix.Iovec) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall(unix.SYS_WRITEV,
			uintptr(fd), uintptr(unsafe.Pointer(&iov[0])), uintptr(len(iov)))
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}
