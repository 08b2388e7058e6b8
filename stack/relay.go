//go:build linux

package stack

import (
	"errors"
	"io"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	tunflow "syntap/tun/flow"
)

// The outbound half alone reads, and the flow's release alone closes or aborts, the netstack
// endpoint: memory that a peek has shown stays valid until then.

// moveOutbound moves bytes from netstack's receive queue to the host socket: peek at the queue,
// write what it shows in one call, discard what was written. No byte is copied on the way.
func moveOutbound(f *flow, budget int) (moved int, more bool) {
	g := f.stack.gathers.Get().(*gather)
	defer g.release(&f.stack.gathers)
	for moved < budget {
		if f.resetGuest.Load() {
			f.finish(&f.outbound)
			return moved, false
		}
		g.begin(budget, f.tight.Load())
		if _, err := f.ep.Read(g, tcpip.ReadOptions{Peek: true}); err != nil {
			return moved, f.nothingToSend(err)
		}
		if len(g.iov) == 0 {
			return moved, false
		}
		n, errno := writev(f.fd, g.iov)
		switch errno {
		case 0:
			d := discard{n: n}
			_, _ = f.ep.Read(&d, tcpip.ReadOptions{})
			f.outbound.noteMoved(n)
			moved += n
			// If the socket was full, the next call says EAGAIN and arms the poller.
		case unix.EAGAIN:
			return moved, false
		default:
			f.began(serverFailure(errno))
			f.hostReset()
			return moved, true
		}
	}
	return moved, true
}

// nothingToSend acts on the error of a read from netstack. It reports whether the outbound half has
// to look again.
func (f *flow) nothingToSend(err tcpip.Error) (more bool) {
	switch err.(type) {
	case *tcpip.ErrWouldBlock:
		f.failIfSocketFailed()
		return f.resetGuest.Load()
	case *tcpip.ErrClosedForReceive: // FIN, or a RST that the inbound half has been told of
		if f.clientGone() {
			f.began(tunflow.ClientRST)
			f.clientReset()
			return false
		}
		f.began(tunflow.ClientFIN)
		_ = unix.Shutdown(f.fd, unix.SHUT_WR)
		f.sentAll.Store(true)
		f.finish(&f.outbound)
		return false
	}
	f.began(clientFailure(err)) // RST, or netstack gave the client up
	f.clientReset()
	return false
}

// failIfSocketFailed looks at the host socket when there is nothing to write that would tell. A
// socket that has only been closed for reading is in order; one with an error is not.
func (f *flow) failIfSocketFailed() {
	if !f.hangup.Load() || !f.lastHalf() {
		return
	}
	if errno, err := unix.GetsockoptInt(f.fd, unix.SOL_SOCKET, unix.SO_ERROR); err != nil || errno != 0 {
		f.began(serverFailure(syscall.Errno(errno)))
		f.hostReset()
	}
}

// clientReset ends the outbound half after a RST of the client, and tells the other.
func (f *flow) clientReset() {
	f.resetHost.Store(true)
	f.finish(&f.outbound)
	f.inbound.Wake()
}

// hostReset makes both halves end and the client see a RST.
func (f *flow) hostReset() {
	f.resetGuest.Store(true)
	f.outbound.Wake()
	f.inbound.Wake()
}

// moveInbound moves bytes from the host socket to netstack, by way of a buffer: one large read
// costs the host far less than several that go straight into netstack's memory, because each has
// the far side acknowledge, and a client that gets much in one go is woken less often.
func moveInbound(f *flow, budget int) (moved int, more bool) {
	moved, more = f.moveUnsent(budget)
	if !f.inbound.done {
		f.keepUnsent()
	}
	return moved, more
}

func (f *flow) moveUnsent(budget int) (moved int, more bool) {
	emptied := false // the last read has brought all that there was
	for moved < budget {
		if f.resetHost.Load() || f.resetGuest.Load() {
			f.finishInbound()
			return moved, false
		}
		if f.lastHalf() && f.clientGone() {
			f.began(tunflow.ClientRST)
			f.resetHost.Store(true)
			continue
		}
		if len(f.unsent) == 0 {
			if emptied {
				return moved, false
			}
			b := f.readBuffer()
			n, errno := read(f.fd, b)
			if errno == unix.EAGAIN {
				return moved, false
			}
			if errno != 0 || n == 0 {
				if f.endOfHost(errno) {
					return moved, false
				}
				continue
			}
			f.unsent, emptied = b[:n], n < len(b) && !f.hangup.Load() && !f.urgent.Load()
		}
		wrote, ok := f.writeUnsent(budget - moved)
		moved += wrote
		if ok && wrote == 0 { // netstack will say when it has room
			return moved, false
		}
	}
	return moved, len(f.unsent) > 0 || !emptied
}

// finishInbound ends the inbound half; the outbound one must learn of a reset.
func (f *flow) finishInbound() {
	f.releaseReadBuffer()
	f.outbound.Wake()
	f.finish(&f.inbound)
}

// lastHalf reports whether the other half is done.
func (f *flow) lastHalf() bool { return f.halves.Load() == 1 }

// clientGone reports whether the connection to the client has failed. As long as we have sent no
// FIN it cannot have closed in order; a RST in CLOSE-WAIT shows as closed too.
func (f *flow) clientGone() bool {
	switch tcp.EndpointState(f.ep.State()) {
	case tcp.StateError:
		return true
	case tcp.StateClose:
		return !f.finSent.Load()
	}
	return false
}

// maxChunk is the most that one write to netstack may bring, in bytes: it puts 65374 into a
// segment, and a piece of memory holds 65536.
const maxChunk = 65320

// writeUnsent gives netstack about budget bytes of those unsent and returns how much it had room
// for; !ok means the client is gone.
func (f *flow) writeUnsent(budget int) (wrote int, ok bool) {
	for len(f.unsent) > 0 && wrote < budget {
		p := bytesPayload{b: f.unsent[:min(len(f.unsent), maxChunk)]}
		n, err := f.ep.Write(&p, tcpip.WriteOptions{})
		switch err.(type) {
		case nil, *tcpip.ErrWouldBlock:
		default:
			f.inboundFailed(err)
			return wrote, false
		}
		if n == 0 {
			break
		}
		wrote += int(n)
		f.unsent = f.unsent[n:]
		f.inbound.noteMoved(int(n))
	}
	return wrote, true
}

// readBuffer is the memory of one read from a host socket, in bytes: eight segments as long as
// netstack makes them.
type readBuffer [8 * maxChunk]byte

// smallRead is the size of a read for a flow that has small buffers, tightRead for one that has
// tight ones.
const (
	smallRead = 16 << 10
	tightRead = 1 << 10
)

// readBuffer returns the memory for a read, which the flow has until releaseReadBuffer.
func (f *flow) readBuffer() []byte {
	if f.buffer == nil {
		f.buffer = f.stack.readBuffers.Get().(*readBuffer)
	}
	switch {
	case f.inbound.large.Load():
		return f.buffer[:]
	case f.tight.Load():
		return f.buffer[:tightRead]
	}
	return f.buffer[:smallRead]
}

// keepUnsent is for the end of a step. The flow keeps a few unsent bytes as a copy, many with their
// buffer; an idle flow has none.
func (f *flow) keepUnsent() {
	switch {
	case len(f.unsent) == 0:
		f.releaseReadBuffer()
	case f.buffer == nil: // kept before
	case len(f.unsent) <= smallRead:
		unsent := append([]byte(nil), f.unsent...)
		f.releaseReadBuffer()
		f.unsent = unsent
		f.kept.Store(int64(cap(unsent)))
	default:
		f.kept.Store(int64(len(f.buffer)))
	}
}

// releaseReadBuffer gives back the memory of unsent bytes, and of a read.
func (f *flow) releaseReadBuffer() {
	f.unsent = nil
	if f.buffer != nil {
		f.stack.readBuffers.Put(f.buffer)
		f.buffer = nil
	}
	f.kept.Store(0)
}

// inboundFailed is for a client that takes no more bytes: it reset, or netstack gave it up.
func (f *flow) inboundFailed(err tcpip.Error) {
	f.began(clientFailure(err))
	f.resetHost.Store(true)
}

// endOfHost carries the far side's FIN or RST to the client. The inbound half is done after a FIN.
func (f *flow) endOfHost(errno syscall.Errno) (done bool) {
	if errno != 0 {
		f.began(serverFailure(errno))
		f.resetGuest.Store(true)
		return false
	}
	f.began(tunflow.ServerFIN)
	f.finSent.Store(true)
	_ = f.ep.Shutdown(tcpip.ShutdownWrite)
	f.releaseReadBuffer()
	f.finish(&f.inbound)
	return true
}

// gather collects the views of a peek into iovecs, valid only during one step.
type gather struct {
	iov   []unix.Iovec
	size  int // bytes in iov
	limit int // collect no more views once size has reached it
	tight bool
}

// gatherViews and, for a flow with tight buffers, tightWrite bytes limit one writev towards the
// host socket. The kernel takes a segment whole, however small the socket's buffer is.
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

// release gives g to a pool, without the memory that it points to.
func (g *gather) release(pool *sync.Pool) {
	clear(g.iov[:cap(g.iov)])
	pool.Put(g)
}

// Write implements io.Writer.
func (g *gather) Write(b []byte) (int, error) {
	if len(g.iov) == gatherViews || g.size >= g.limit {
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

// discard consumes n bytes of a read.
type discard struct{ n int }

func (d *discard) Write(b []byte) (int, error) {
	if len(b) > d.n {
		n := d.n
		d.n = 0
		return n, io.ErrShortWrite
	}
	d.n -= len(b)
	return len(b), nil
}

type bytesPayload struct{ b []byte }

func (p *bytesPayload) Len() int { return len(p.b) }

func (p *bytesPayload) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	n := copy(b, p.b)
	p.b = p.b[n:]
	return n, nil
}

// The calls below are raw: their descriptors do not block, and a call of microseconds needs no word
// to the scheduler.

func read(fd int, b []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

func writev(fd int, iov []unix.Iovec) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall(unix.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(&iov[0])), uintptr(len(iov)))
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}
