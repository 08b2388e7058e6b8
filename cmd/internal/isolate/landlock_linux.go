package isolate

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/psx"
)

// accessTo are the rights to files that landlock has had at each of its versions, from 1 on
// (landlock(7)).
var accessTo = []uint64{
	1: unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_READ_FILE |
		unix.LANDLOCK_ACCESS_FS_READ_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE |
		unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG |
		unix.LANDLOCK_ACCESS_FS_MAKE_SOCK | unix.LANDLOCK_ACCESS_FS_MAKE_FIFO | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK |
		unix.LANDLOCK_ACCESS_FS_MAKE_SYM,
	2: unix.LANDLOCK_ACCESS_FS_REFER,
	3: unix.LANDLOCK_ACCESS_FS_TRUNCATE,
	5: unix.LANDLOCK_ACCESS_FS_IOCTL_DEV,
	9: unix.LANDLOCK_ACCESS_FS_RESOLVE_UNIX,
}

// scopesSince is the version of landlock that restricts signals and abstract Unix sockets.
const scopesSince = 6

// signalsOfThreads is the bit of the erratum without whose cure a domain keeps signals from threads
// of the same process, by which Go's runtime would stop for good (LANDLOCK_CREATE_RULESET_ERRATA).
const signalsOfThreads = 1 << 1

// closeFiles has this process, all of its threads, open no file, and only those directories whose
// names it needs. On newer kernels it has them also signal no process outside, and connect to no
// Unix socket that it has not made. It reports whether the kernel does so; an older one cannot.
//
// Beside threads of C it does nothing: libcap finds the threads in /proc, and the first of them
// could not read that any more.
func closeFiles(directories []string) (bool, error) {
	if besideC {
		return false, nil
	}
	version, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 { // it has none, is told to use none, or a sandbox around this one keeps it away
		return false, nil
	}
	attr := rules(int(version), errata())
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET,
		uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr), 0)
	if errno != 0 {
		return false, fmt.Errorf("restrict files: %w", errno)
	}
	defer unix.Close(int(fd))
	for _, path := range directories {
		if err := allowNames(int(fd), path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return false, err
		}
	}
	if err := prctl(unix.PR_SET_NO_NEW_PRIVS, 1); err != nil {
		return false, fmt.Errorf("set no_new_privs: %w", err)
	}
	if _, _, errno := psx.Syscall3(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0, 0); errno != 0 {
		return false, fmt.Errorf("restrict files: %w", errno)
	}
	return true, nil
}

// errata returns the errors of landlock that the kernel has cured.
func errata() int {
	bits, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_ERRATA)
	if errno != 0 { // it says of none
		return 0
	}
	return int(bits)
}

// rules returns all that a version of landlock can restrict of these.
func rules(version, errata int) (attr unix.LandlockRulesetAttr) {
	for since, access := range accessTo {
		if version >= since {
			attr.Handled_access_fs |= access
		}
	}
	if version >= scopesSince {
		attr.Scoped = unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET
		if errata&signalsOfThreads != 0 {
			attr.Scoped |= unix.LANDLOCK_SCOPE_SIGNAL
		}
	}
	return attr
}

// allowNames lets the directories below a path be read.
func allowNames(ruleset int, path string) error {
	dir, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(dir)
	beneath := unix.LandlockPathBeneathAttr{Allowed_access: unix.LANDLOCK_ACCESS_FS_READ_DIR, Parent_fd: int32(dir)}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(ruleset), unix.LANDLOCK_RULE_PATH_BENEATH,
		uintptr(unsafe.Pointer(&beneath)), 0, 0, 0)
	if errno != 0 {
		return fmt.Errorf("let %s be read: %w", path, errno)
	}
	return nil
}
