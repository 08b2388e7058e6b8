//go:build linux

// Package raw makes system calls without notice to Go's scheduler, as package syscall's RawSyscall
// does. They are for calls that return within microseconds, on descriptors that do not block.
//
// A call with notice costs more than that. It wakes the runtime's monitor where that sleeps, which
// then looks every 20 µs, and a call that the kernel interrupts for longer loses its processor: the
// runtime wakes another thread for it.
package raw

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Read reads from a descriptor.
func Read(fd int, b []byte) (int, syscall.Errno) {
	return transfer(unix.SYS_READ, fd, unsafe.Pointer(unsafe.SliceData(b)), len(b))
}

// Write writes to a descriptor.
func Write(fd int, b []byte) (int, syscall.Errno) {
	return transfer(unix.SYS_WRITE, fd, unsafe.Pointer(unsafe.SliceData(b)), len(b))
}

// Writev writes several pieces of memory.
func Writev(fd int, iov []unix.Iovec) (int, syscall.Errno) {
	return transfer(unix.SYS_WRITEV, fd, unsafe.Pointer(unsafe.SliceData(iov)), len(iov))
}

func transfer(call uintptr, fd int, p unsafe.Pointer, n int) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall(call, uintptr(fd), uintptr(p), uintptr(n))
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

// Send sends to the other end of a socket.
func Send(fd int, b []byte, flags int) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), uintptr(flags), 0, 0)
	return int(n), errno
}

// Close closes a descriptor.
func Close(fd int) { _, _, _ = syscall.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) }

// Shutdown shuts a socket down.
func Shutdown(fd, how int) {
	_, _, _ = syscall.RawSyscall(unix.SYS_SHUTDOWN, uintptr(fd), uintptr(how), 0)
}

// SetOption sets an option of a socket.
func SetOption[T any](fd, level, option int, value T) error {
	if errno := setOption(fd, level, option, unsafe.Pointer(&value), unsafe.Sizeof(value)); errno != 0 {
		return errno
	}
	return nil
}

// Option reads an option of a socket.
func Option[T any](fd, level, option int, value *T) syscall.Errno {
	return getOption(fd, level, option, unsafe.Pointer(value), uint32(unsafe.Sizeof(*value)))
}

// The compiler takes each pointer that a generic function gets to escape, and so its value from the
// heap, unless it inlines the function. The functions below keep those above small enough for it.

//go:noinline
func setOption(fd, level, option int, value unsafe.Pointer, size uintptr) syscall.Errno {
	_, _, errno := syscall.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), uintptr(level), uintptr(option),
		uintptr(value), size, 0)
	return errno
}

//go:noinline
func getOption(fd, level, option int, value unsafe.Pointer, size uint32) syscall.Errno {
	_, _, errno := syscall.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), uintptr(option),
		uintptr(value), uintptr(unsafe.Pointer(&size)), 0)
	return errno
}

// ReadFirst reads the first bytes of a file that is on no disk, wherever its offset is.
func ReadFirst(fd int, b []byte) (int, error) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_PREAD64, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// Readlinkat reads a symbolic link, of a file system that is no disk.
func Readlinkat(dir int, path string, link []byte) (int, error) {
	name, err := unix.BytePtrFromString(path)
	if err != nil {
		return 0, err
	}
	n, _, errno := syscall.RawSyscall6(unix.SYS_READLINKAT, uintptr(dir), uintptr(unsafe.Pointer(name)),
		uintptr(unsafe.Pointer(unsafe.SliceData(link))), uintptr(len(link)), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
