package seccomp

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// ApplyToThread has the kernel filter the system calls of this thread and of the program it
// becomes. The thread needs no_new_privs, or CAP_SYS_ADMIN.
func ApplyToThread(filter []bpf.RawInstruction) error {
	program, err := kernelProgram(filter)
	if err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(program)), 0, 0); err != nil {
		return fmt.Errorf("filter system calls: %w", err)
	}
	return nil
}

// ApplyToProcess has the kernel filter the system calls of all threads of this process, set
// no_new_privs for them, and log the calls that the filter refuses.
func ApplyToProcess(filter []bpf.RawInstruction) error {
	program, err := kernelProgram(filter)
	if err != nil {
		return err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	// SPEC_ALLOW keeps older kernels from slowing all that is filtered down, as if it were foreign
	// code (until Linux 5.16).
	const flags = unix.SECCOMP_FILTER_FLAG_TSYNC | unix.SECCOMP_FILTER_FLAG_LOG | unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW
	other, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(program)))
	if errno == unix.EINVAL { // before Linux 4.17
		other, _, errno = unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
			unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(program)))
	}
	switch {
	case errno != 0:
		return fmt.Errorf("filter system calls: %w", errno)
	case other != 0:
		return fmt.Errorf("filter system calls: thread %d has another filter", other)
	}
	return nil
}

func kernelProgram(filter []bpf.RawInstruction) (*unix.SockFprog, error) {
	if len(filter) == 0 || len(filter) > 1<<12 { // BPF_MAXINSNS
		return nil, errors.New("filter system calls: a filter has 1 to 4096 instructions")
	}
	raw := make([]unix.SockFilter, len(filter))
	for i, in := range filter {
		raw[i] = unix.SockFilter{Code: in.Op, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	return &unix.SockFprog{Len: uint16(len(raw)), Filter: &raw[0]}, nil
}
