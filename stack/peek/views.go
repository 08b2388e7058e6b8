//go:build linux

package peek

import (
	"errors"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Views collects the views of a peek into iovecs, valid only during one step.
type Views struct {
	IOV   []unix.Iovec
	Size  int // bytes in IOV
	limit int // collect no more views once size has reached it
	tight bool

	joined []byte // memory for join
}

// MaxViews and, for a connection with tight buffers, TightWrite bytes limit one writev towards
// the host socket. The kernel takes a segment whole, however small the socket's buffer is.
const (
	MaxViews   = 256
	TightWrite = 1 << 10
)

var errFull = errors.New("list of views full")

// Begin empties g. It takes no more views once it has limit bytes.
func (g *Views) Begin(limit int, tight bool) {
	if tight {
		limit = 1 // view
	}
	g.IOV, g.Size, g.limit, g.tight = g.IOV[:0], 0, limit, tight
}

// Tight reports whether g takes one view only, and a little of it.
func (g *Views) Tight() bool { return g.tight }

// Full reports whether netstack may have more views than g.
func (g *Views) Full() bool { return len(g.IOV) == MaxViews || g.Size >= g.limit }

// Cut shortens g to its first n bytes, n > 0.
func (g *Views) Cut(n int) {
	if n >= g.Size {
		return
	}
	g.Size = n
	for i := range g.IOV {
		v := &g.IOV[i]
		if n <= int(v.Len) {
			v.SetLen(n)
			g.IOV = g.IOV[:i+1]
			return
		}
		n -= int(v.Len)
	}
}

// Release gives g to a pool, without the memory that it points to.
func (g *Views) Release(pool *sync.Pool) {
	clear(g.IOV[:cap(g.IOV)])
	pool.Put(g)
}

// View returns the view i, up to the byte n.
func (g *Views) View(i, n int) []byte {
	v := &g.IOV[i]
	return unsafe.Slice(v.Base, min(int(v.Len), n))
}

// Join returns the bytes before, and behind them the first n bytes of the views, but not more than
// limit. They are valid only as long as the views, and until the next call.
func (g *Views) Join(before []byte, n, limit int) []byte {
	if first := g.View(0, n); len(before) == 0 && len(first) == n {
		return first[:min(n, limit)]
	}
	g.joined = append(g.joined[:0], before...)
	for i := 0; n > 0 && len(g.joined) < limit; i++ {
		b := g.View(i, n)
		n -= len(b)
		g.joined = append(g.joined, b[:min(len(b), limit-len(g.joined))]...)
	}
	return g.joined
}

// Write implements io.Writer.
func (g *Views) Write(b []byte) (int, error) {
	if g.Full() {
		return 0, errFull
	}
	if n := len(b); n > 0 {
		if g.tight {
			n = min(n, TightWrite)
		}
		v := unix.Iovec{Base: &b[0]}
		v.SetLen(n)
		g.IOV = append(g.IOV, v)
		g.Size += n
	}
	return len(b), nil
}
