//go:build linux

package stack

import (
	"errors"
	"io"
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
func moveOutbound(f *flow, w *worker) (more bool) {
	for f.outbound.turn < maxTurn {
		if f.resetGuest.Load() {
			f.finish(&f.outbound)
			return false
		}
		w.iov, w.size, w.tight = w.iov[:0], 0, f.tight.Load()
		_, err := f.ep.Read((*gather)(w), tcpip.ReadOptions{Peek: true})
		switch err.(type) {
		case nil:
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
		default: // RST, or netstack gave the client up
			f.began(clientFailure(err))
			f.clientReset()
			return false
		}
		if len(w.iov) == 0 {
			return false
		}
		n, errno := writev(f.fd, w.iov)
		switch errno {
		case 0:
			d := discard{n: n}
			_, _ = f.ep.Read(&d, tcpip.ReadOptions{})
			f.outbound.noteMoved(n)
			if w.giveWay(&f.outbound, n) {
				return true
			}
			// If the socket was full, the next call says EAGAIN and arms the poller.
		case unix.EAGAIN:
			return false
		default:
			f.began(serverFailure(errno))
			f.hostReset()
			return true
		}
	}
	return true
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
	f.inbound.kick()
}

// hostReset makes both halves end and the client see a RST.
func (f *flow) hostReset() {
	f.resetGuest.Store(true)
	f.outbound.kick()
	f.inbound.kick()
}

// moveInbound moves bytes from the host socket to netstack, by way of a buffer: one large read
// costs the host far less than several that go straight into netstack's memory, because each has
// the far side acknowledged, and what arrives at the client in one go does not wake it again and
// again.
func moveInbound(f *flow, w *worker) (more bool) {
	fresh, emptied := false, false // what is unsent has been read just now; that was all there is
	for f.inbound.turn < maxTurn {
		if f.resetHost.Load() || f.resetGuest.Load() {
			f.finishInbound()
			return false
		}
		if f.lastHalf() && f.clientGone() {
			f.began(tunflow.ClientRST)
			f.resetHost.Store(true)
			continue
		}
		if len(f.unsent) == 0 {
			if emptied {
				return false
			}
			b := w.readBuffer(f)
			n, errno := read(f.fd, b)
			if errno == unix.EAGAIN {
				return false
			}
			if errno != 0 || n == 0 {
				if f.endOfHost(errno) {
					return false
				}
				continue
			}
			f.unsent, fresh, emptied = b[:n], true, n < len(b) && !f.hangup.Load() && !f.urgent.Load()
		}
		wrote, ok := f.writeUnsent(w.slice())
		full := ok && wrote == 0 // netstack will say when it has room
		if full || w.giveWay(&f.inbound, wrote) {
			if fresh {
				f.keepUnsent(w)
			}
			return !full
		}
	}
	if fresh {
		f.keepUnsent(w)
	}
	return true
}

// finishInbound ends the inbound half; the outbound one must learn of a reset.
func (f *flow) finishInbound() {
	f.outbound.kick()
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

// writeUnsent gives netstack a slice of what is unsent and returns how much it had room for; !ok
// means the client is gone.
func (f *flow) writeUnsent(slice int) (wrote int, ok bool) {
	for len(f.unsent) > 0 && wrote < slice {
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
	if len(f.unsent) == 0 {
		f.releaseReadBuffer()
	}
	return wrote, true
}

// keepUnsent has the flow keep what still stands in the worker's buffer: a little as a copy, much
// with the buffer.
func (f *flow) keepUnsent(w *worker) {
	if len(f.unsent) > smallRead {
		f.buffer, w.buffer = w.buffer, nil
		f.kept.Store(int64(len(f.buffer)))
		return
	}
	f.unsent = append([]byte(nil), f.unsent...)
	f.kept.Store(int64(cap(f.unsent)))
}

// releaseReadBuffer is for when nothing is to be sent any more.
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
	f.finish(&f.inbound)
	return true
}

// gather collects the views of a peek into a worker's iovecs.
type gather worker

var errFull = errors.New("gather list full")

func (g *gather) Write(b []byte) (int, error) {
	if len(g.iov) == gatherViews || g.size >= (*worker)(g).gatherBytes() {
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
