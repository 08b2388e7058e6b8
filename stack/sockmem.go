//go:build linux

package stack

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Fields of SO_MEMINFO (SK_MEMINFO_ of include/uapi/linux/sock_diag.h).
const (
	memReceived = 0
	memForward  = 4
	memSending  = 5
	memBacklog  = 7
	memVars     = 9
)

// memInfo returns the kernel's account of a socket's memory, zeros where it gives none.
func memInfo(fd int) (info [memVars]uint32) {
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := syscall.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return [memVars]uint32{}
	}
	return info
}

// socketMemory returns the bytes that the kernel holds for a socket at present: what it has
// received and what is not yet acknowledged, with their descriptors. 0 = unknown.
func socketMemory(fd int) int64 {
	info := memInfo(fd)
	sum := int64(0)
	for _, i := range []int{memReceived, memForward, memSending, memBacklog} {
		sum += max(0, int64(int32(info[i]))) // what the kernel has borrowed ahead is below zero at times
	}
	return sum
}

// socketSize bounds the buffers of a host socket.
type socketSize uint32

const (
	sizedByKernel socketSize = iota // which lets them grow with what moves
	sizedLarge
	sizedSmall
	sizedTight
	sizedTightAtFirst // tight until something moves; for a socket that is not connected, which begins with a small window then
)

// Sizes of a host socket's buffers in bytes, as SO_RCVBUF and SO_SNDBUF take them: the kernel
// doubles them. A tight receive buffer has a window of a segment at least: the far side sends less
// only after a while. A tight send buffer takes one write.
const (
	largeSocketBuffer  = 1 << 20
	smallSocketBuffer  = 64 << 10
	tightSocketReceive = 2 << 10
	tightSocketSend    = 2 << 10
)

const lockSend = 1 // SOCK_BUF_LOCK has two bits, SOCK_SNDBUF_LOCK is this one

// resizeSocket bounds the buffers of a socket. What is in them stays. The window that the far side
// has been promised is not taken back: what comes in it and finds no room is sent again.
func resizeSocket(fd int, to socketSize) {
	receive, send := smallSocketBuffer, smallSocketBuffer
	switch to {
	case sizedLarge:
		receive, send = largeSocketBuffer, largeSocketBuffer
	case sizedTight:
		mss, _ := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_MAXSEG)
		receive, send = max(tightSocketReceive, mss), tightSocketSend
	case sizedTightAtFirst:
		receive, send = tightSocketReceive, tightSocketSend
	case sizedByKernel, sizedSmall:
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receive)
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, send)
	// A receive buffer that is locked as the socket connects bounds the window for good: there is
	// no window scale.
	switch to {
	case sizedByKernel:
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BUF_LOCK, 0) // before Linux 5.14 they stay locked
	case sizedTightAtFirst:
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BUF_LOCK, lockSend)
	case sizedSmall, sizedTight, sizedLarge:
	}
}
