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
)

// steps bounds what a half does before others have their turn.
const steps = 8

// The outbound half alone reads, and the flow's release alone closes or aborts, the netstack endpoint: memory that a peek
// has shown stays valid until then.

// moveOutbound moves bytes from netstack's receive queue to the host socket: peek at the queue, write what it shows in one
// call, discard what was written. No byte is copied on the way.
func moveOutbound(f *flow, w *worker) (more bool) {
	for range steps {
		if f.resetGuest.Load() {
			f.finish(&f.outbound)
			return false
		}
		w.iov, w.size = w.iov[:0], 0
		_, err := f.ep.Read((*gather)(w), tcpip.ReadOptions{Peek: true})
		switch err.(type) {
		case nil:
		case *tcpip.ErrWouldBlock:
			f.failIfSocketFailed()
			return f.resetGuest.Load()
		case *tcpip.ErrClosedForReceive: // FIN, or a RST that the inbound half has been told of
			if f.clientGone() {
				f.began(ClientRST)
				f.clientReset()
				return false
			}
			f.began(ClientFIN)
			_ = unix.Shutdown(f.fd, unix.SHUT_WR)
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
			if n < w.size {
				continue // the socket is full; the next call says EAGAIN and arms the poller
			}
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

// failIfSocketFailed looks at the host socket when there is nothing to write that would tell. A socket that has only been
// closed for reading is in order; one with an error is not.
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

// moveInbound moves bytes from the host socket to netstack. A flow in full swing reads straight into netstack's memory,
// after asking how much there is; a quiet one reads into the worker's buffer, which saves that question.
func moveInbound(f *flow, w *worker) (more bool) {
	for range steps {
		if f.resetHost.Load() || f.resetGuest.Load() {
			f.finishInbound()
			return false
		}
		if f.lastHalf() && f.clientGone() {
			f.began(ClientRST)
			f.resetHost.Store(true)
			continue
		}
		if len(f.unsent) > 0 {
			if !f.writeUnsent() {
				return false
			}
			continue
		}
		var wait bool
		if f.lastRead <= smallRead/2 {
			wait = f.moveSmall(w)
		} else {
			wait = f.moveLarge()
		}
		if wait || f.inbound.done {
			return false
		}
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

// clientGone reports whether the connection to the client has failed. As long as we have sent no FIN it cannot have
// closed in order; a RST in CLOSE-WAIT shows as closed too.
func (f *flow) clientGone() bool {
	switch tcp.EndpointState(f.ep.State()) {
	case tcp.StateError:
		return true
	case tcp.StateClose:
		return !f.finSent.Load()
	}
	return false
}

// moveSmall reads what fits the worker's buffer and reports whether to wait for news.
func (f *flow) moveSmall(w *worker) (wait bool) {
	n, errno := read(f.fd, w.small[:])
	if errno == unix.EAGAIN {
		return true
	}
	if errno != 0 || n == 0 {
		return f.endOfHost(errno)
	}
	f.lastRead = n
	wrote, ok := f.write(w.small[:n])
	if !ok {
		return false
	}
	if wrote < n {
		f.unsent = append(f.unsent[:0], w.small[wrote:n]...)
		return false // writeUnsent finds out whether to wait
	}
	return n < len(w.small) && !f.hangup.Load() // a short read has emptied the socket
}

// moveLarge has netstack read from the socket and reports whether to wait for news.
func (f *flow) moveLarge() (wait bool) {
	avail, errno := ioctlInt(f.fd, unix.SIOCINQ)
	if errno != 0 {
		return f.endOfHost(errno)
	}
	if avail == 0 {
		f.lastRead = 0 // a read tells the end from a pause
		return false
	}
	p := socketPayload{fd: f.fd, n: min(avail, maxChunk)}
	wrote, err := f.ep.Write(&p, tcpip.WriteOptions{})
	switch err.(type) {
	case nil:
		f.lastRead = int(wrote)
		f.inbound.noteMoved(int(wrote))
		return false
	case *tcpip.ErrWouldBlock: // the payload has not been touched
		return true
	}
	f.inboundFailed(err)
	return false
}

// maxChunk is the most that one write may bring: netstack puts 65374 bytes into a segment, and a multiple of the usual
// segment sizes leaves no runt behind each.
const maxChunk = 65320

func (f *flow) writeUnsent() (progress bool) {
	n, ok := f.write(f.unsent)
	if !ok {
		return true // the loop sees the reset
	}
	f.unsent = f.unsent[n:]
	if len(f.unsent) == 0 {
		f.unsent = nil
	}
	return n > 0
}

// write gives b to netstack and returns how much it took; !ok means the client is gone.
func (f *flow) write(b []byte) (n int, ok bool) {
	p := bytesPayload{b: b}
	wrote, err := f.ep.Write(&p, tcpip.WriteOptions{})
	switch err.(type) {
	case nil, *tcpip.ErrWouldBlock:
		f.inbound.noteMoved(int(wrote))
		return int(wrote), true
	}
	f.inboundFailed(err)
	return 0, false
}

// inboundFailed is for a client that takes no more bytes: it reset, or netstack gave it up.
func (f *flow) inboundFailed(err tcpip.Error) {
	f.began(clientFailure(err))
	f.resetHost.Store(true)
}

// endOfHost carries the far side's FIN or RST to the client.
func (f *flow) endOfHost(errno syscall.Errno) (wait bool) {
	if errno != 0 {
		f.began(serverFailure(errno))
		f.resetGuest.Store(true)
		return false
	}
	f.began(ServerFIN)
	f.finSent.Store(true)
	_ = f.ep.Shutdown(tcpip.ShutdownWrite)
	f.finish(&f.inbound)
	return true
}

// gather collects the views of a peek into a worker's iovecs.
type gather worker

var errFull = errors.New("gather list full")

func (g *gather) Write(b []byte) (int, error) {
	if len(g.iov) == gatherViews || g.size >= gatherBytes {
		return 0, errFull
	}
	if len(b) > 0 {
		v := unix.Iovec{Base: &b[0]}
		v.SetLen(len(b))
		g.iov = append(g.iov, v)
		g.size += len(b)
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

// socketPayload lets netstack read n bytes, which are known to be there, from a socket. Netstack never ends when a
// payload has less than it promised, so a shortfall is an error and not the end.
type socketPayload struct{ fd, n int }

func (p *socketPayload) Len() int { return p.n }

func (p *socketPayload) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	n, errno := read(p.fd, b[:min(len(b), p.n)])
	if errno != 0 {
		return 0, errno
	}
	if n == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	p.n -= n
	return n, nil
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

// The calls below are raw: their descriptors do not block, and a call of microseconds needs no word to the scheduler.

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

func ioctlInt(fd int, req uintptr) (int, syscall.Errno) {
	var n int32
	_, _, errno := syscall.RawSyscall(unix.SYS_IOCTL, uintptr(fd), req, uintptr(unsafe.Pointer(&n)))
	return int(n), errno
}
