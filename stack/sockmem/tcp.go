//go:build linux

package sockmem

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TCP returns the state of a connection (TCP_INFO), and whether there is one. Unlike the function
// of package unix it allocates nothing, because it is called for idle connections, too.
func TCP(fd int) (info unix.TCPInfo, ok bool) {
	size := uint32(unix.SizeofTCPInfo)
	_, _, errno := syscall.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.IPPROTO_TCP,
		unix.TCP_INFO, uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	return info, errno == 0
}
