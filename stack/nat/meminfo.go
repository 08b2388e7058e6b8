//go:build linux

package nat

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Fields of SO_MEMINFO (SK_MEMINFO_ of include/uapi/linux/sock_diag.h).
const (
	memReceived = 0 // bytes of received datagrams, with their descriptors
	memBacklog  = 7 // bytes received while a system call held the socket
	memDrops    = 8 // datagrams that found no room
	memVars     = 9
)

// memInfo returns the kernel's account of a socket's memory, zeros where it gives none. The caller
// holds mu.
func (s *socket) memInfo() (info [memVars]uint32) {
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := syscall.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(s.fd), unix.SOL_SOCKET,
		unix.SO_MEMINFO, uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return [memVars]uint32{}
	}
	return info
}

// noteLost counts the datagrams that the socket has dropped; total is its own count.
func (s *socket) noteLost(total uint32, stats *Stats) {
	if n := int32(total - s.lost.Load()); n > 0 {
		s.lost.Store(total)
		stats.DropReceiveQueue.Add(uint64(n))
	}
}
