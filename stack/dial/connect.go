//go:build linux

package dial

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"

	"syntap/tun/raw"
)

// IsConnected reports whether a socket is connected.
func IsConnected(fd int) bool {
	_, err := unix.Getpeername(fd)
	return err == nil
}

// ErrProhibited is the error of a connect that was answered with ICMPv6 "administratively
// prohibited".
var ErrProhibited = fmt.Errorf("%w: ICMPv6 administratively prohibited", unix.EACCES)

// ConnectFailure returns the error of a connect that has failed with errno.
func ConnectFailure(errno syscall.Errno) error {
	if errno == unix.EACCES {
		return ErrProhibited
	}
	return errno
}

// ConnectErrno returns the error with which a socket's connect has failed, 0 if it is connected.
func ConnectErrno(fd int) syscall.Errno {
	var errno int32
	if raw.Option(fd, unix.SOL_SOCKET, unix.SO_ERROR, &errno) != 0 {
		return unix.EBADF
	}
	return syscall.Errno(errno)
}
