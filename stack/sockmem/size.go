//go:build linux

package sockmem

import (
	"golang.org/x/sys/unix"

	"syntap/tun/raw"
)

// Size is a size of the buffers of a TCP socket.
type Size uint32

const (
	ByKernel Size = iota // which lets them grow with what moves
	Large                // as the kernel has made them, or 1 MiB
	Small
	Tight
	// TightAtFirst is tight until something moves. It is for a socket that is not connected yet, so
	// that it begins with a small window.
	TightAtFirst
)

// The sizes of buffers in bytes, as SO_RCVBUF and SO_SNDBUF take them: the kernel
// doubles them. A tight receive buffer has a window of a segment at least: the far side sends less
// only after a while. A tight send buffer takes one write with MSG_EOR.
const (
	largeBuffer  = 512 << 10
	smallBuffer  = 64 << 10
	tightReceive = 2 << 10
	tightSend    = 2 << 10
)

const (
	lockSend = 1 // SOCK_BUF_LOCK has two bits, SOCK_SNDBUF_LOCK is this one
	lockBoth = 3
)

// Resize changes the bounds of a socket's buffers. Bytes in them stay. The window promised to the
// far side is not withdrawn: bytes that arrive in it and find no room are retransmitted. window is
// that of a socket which the kernel is to size from now on, in bytes.
func Resize(fd int, from, to Size, window int) {
	receive, send := smallBuffer, smallBuffer
	switch to {
	case ByKernel, Large:
		widen(fd, from, to, max(window, largeBuffer))
		return
	case Tight:
		mss, _ := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_MAXSEG)
		receive, send = max(tightReceive, mss), tightSend
	case TightAtFirst:
		receive, send = tightReceive, tightSend
	case Small:
	}
	_ = raw.SetOption(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, int32(receive))
	_ = raw.SetOption(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, int32(send))
	if to == TightAtFirst {
		// A receive buffer that is locked as the socket connects bounds the window for good: there
		// is no window scale.
		_ = raw.SetOption(fd, unix.SOL_SOCKET, unix.SO_BUF_LOCK, int32(lockSend))
	}
	switch {
	case to >= Tight: // a segment waits to be sent at most
		_ = raw.SetOption(fd, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, int32(1))
	case from >= Tight:
		_ = raw.SetOption(fd, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, int32(0))
	}
}

// widen has the kernel size buffers that were bounded, from a window on, or bounds those that it
// has sized at their present size.
//
// The kernel enlarges a receive buffer only when a program has read more of it in a round trip than
// ever before: one that was large once, and then bounded, would stay small. SO_RCVLOWAT enlarges it
// beyond net.core.rmem_max.
func widen(fd int, from, to Size, window int) {
	if from != ByKernel {
		if to == Large && from != Large {
			_ = raw.SetOption(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, int32(largeBuffer))
		}
		_ = raw.SetOption(fd, unix.SOL_SOCKET, unix.SO_BUF_LOCK, int32(0)) // before Linux 5.14 they stay locked
		_ = raw.SetOption(fd, unix.SOL_SOCKET, unix.SO_RCVLOWAT, int32(window))
		_ = raw.SetOption(fd, unix.SOL_SOCKET, unix.SO_RCVLOWAT, int32(1))
	}
	if to == Large {
		_ = raw.SetOption(fd, unix.SOL_SOCKET, unix.SO_BUF_LOCK, int32(lockBoth))
	}
}

// SetReceiveBuffer sets the size of a receive buffer in bytes as far as the host allows; the kernel
// doubles it.
func SetReceiveBuffer(fd, size int) { setBuffer(fd, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, size) }

// SetSendBuffer does the same for a send buffer.
func SetSendBuffer(fd, size int) { setBuffer(fd, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, size) }

// setBuffer sets an option past the host's limit or, where the process may not, another within it,
// unless the buffer has that size.
func setBuffer(fd, force, set, size int) {
	var has int32
	if raw.Option(fd, unix.SOL_SOCKET, set, &has) == 0 && int(has) == 2*size {
		return
	}
	if raw.SetOption(fd, unix.SOL_SOCKET, force, int32(size)) != nil {
		_ = raw.SetOption(fd, unix.SOL_SOCKET, set, int32(size))
	}
}
