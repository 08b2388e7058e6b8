package tuntest

import (
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"syntap/tun"
)

// pipeFrames is how many frames wait in each direction of a pipe before its writer does.
const pipeFrames = 512

// Frame is an IP frame and the work that its sender left undone.
type Frame struct {
	Data    []byte
	Offload tun.Offload
}

// PipeEnd is one end of a pipe. It is a tun.Link: one end reads the frames that the other end
// writes.
//
//	code under test ── ReadFrame  ◄── Send ────── test
//	                └─ WriteFrame ──► Receive ──┘
type PipeEnd struct {
	mtu       int
	from, to  chan Frame
	closed    chan struct{} // closed by the first Close of either end
	closeOnce *sync.Once
}

var _ tun.Link = (*PipeEnd)(nil)

// NewPipe returns the two ends of an in-memory link. By custom the first goes to the router and the
// second stands for the host. Closing one closes both.
func NewPipe(mtu int) (router, host *PipeEnd) {
	outbound, inbound := make(chan Frame, pipeFrames), make(chan Frame, pipeFrames)
	closed, once := make(chan struct{}), new(sync.Once)
	router = &PipeEnd{mtu: mtu, from: outbound, to: inbound, closed: closed, closeOnce: once}
	host = &PipeEnd{mtu: mtu, from: inbound, to: outbound, closed: closed, closeOnce: once}
	return router, host
}

// MTU implements tun.Link.
func (e *PipeEnd) MTU() int { return e.mtu }

// Close implements tun.Link.
func (e *PipeEnd) Close() error {
	e.closeOnce.Do(func() { close(e.closed) })
	return nil
}

// ReadFrame implements tun.Link.
func (e *PipeEnd) ReadFrame(f *tun.Frame) error {
	if e.isClosed() {
		return os.ErrClosed
	}
	select {
	case <-e.closed:
		return os.ErrClosed
	case sent := <-e.from:
		if len(sent.Data) > f.Len() {
			return fmt.Errorf("read frame of %d bytes: %w", len(sent.Data), io.ErrShortBuffer)
		}
		copy(f.Body, sent.Data[copy(f.Head, sent.Data):])
		f.Fill(len(sent.Data), sent.Offload)
		return nil
	}
}

// WriteFrame implements tun.Link. It waits while the other end is pipeFrames behind.
func (e *PipeEnd) WriteFrame(off tun.Offload, bufs [][]byte) error {
	return e.Send(Frame{Data: slices.Concat(bufs...), Offload: off})
}

// Send writes a frame, which the pipe then owns.
func (e *PipeEnd) Send(f Frame) error {
	if e.isClosed() {
		return os.ErrClosed
	}
	select {
	case <-e.closed:
		return os.ErrClosed
	case e.to <- f:
		return nil
	}
}

// isClosed is asked before a select, which would choose at random between a closed pipe and a ready
// channel.
func (e *PipeEnd) isClosed() bool {
	select {
	case <-e.closed:
		return true
	default:
		return false
	}
}

// Receive returns the next frame that the other end has written. It waits up to d; ok tells whether
// there was one.
func (e *PipeEnd) Receive(d time.Duration) (f Frame, ok bool) {
	select { // a frame that is there goes before a timeout of 0
	case f = <-e.from:
		return f, true
	default:
	}
	timeout := time.NewTimer(d)
	defer timeout.Stop()
	select {
	case f = <-e.from:
		return f, true
	case <-timeout.C:
		return Frame{}, false
	}
}
