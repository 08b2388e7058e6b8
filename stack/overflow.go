//go:build linux

package stack

import (
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// socketBuffer is what programs that expect datagrams in bursts ask for, such as QUIC's. What is in
// it counts by SO_MEMINFO.
const socketBuffer = 7 << 20

// enlarge gives the socket large buffers, as far as the host lets us (net.core.rmem_max and
// wmem_max), and has it tell what it drops nevertheless.
func (m *mapping) enlarge() error {
	for _, b := range [][2]int{{unix.SO_RCVBUFFORCE, unix.SO_RCVBUF}, {unix.SO_SNDBUFFORCE, unix.SO_SNDBUF}} {
		if unix.SetsockoptInt(m.fd, unix.SOL_SOCKET, b[0], socketBuffer) != nil {
			_ = unix.SetsockoptInt(m.fd, unix.SOL_SOCKET, b[1], socketBuffer)
		}
	}
	if err := unix.SetsockoptInt(m.fd, unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1); err != nil {
		return fmt.Errorf("ask for dropped datagrams: %w", err)
	}
	return nil
}

// noteLost counts what the socket has dropped, by its own count until now.
func (m *mapping) noteLost(total uint32) {
	if n := int32(total - m.lost.Load()); n > 0 {
		m.lost.Store(total)
		m.nat.stats.DropReceiveQueue.Add(uint64(n))
	}
}

// countLost counts what the socket has dropped since it last told, which it does with what it
// receives.
func (m *mapping) countLost() {
	var info [9]uint32 // SK_MEMINFO_VARS of linux/sock_diag.h
	const drops = 8
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := syscall.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(m.fd), unix.SOL_SOCKET, unix.SO_MEMINFO, uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno == 0 {
		m.noteLost(info[drops])
	}
}
