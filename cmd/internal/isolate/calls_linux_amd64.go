package isolate

import "golang.org/x/sys/unix"

const auditArch = unix.AUDIT_ARCH_X86_64

// legacy are calls that newer architectures have no number for.
var legacy = []uint32{
	unix.SYS_NEWFSTATAT, unix.SYS_STAT, unix.SYS_LSTAT, unix.SYS_ACCESS, unix.SYS_READLINK,
	unix.SYS_POLL, unix.SYS_SELECT, unix.SYS_EPOLL_WAIT, unix.SYS_GETPGRP, unix.SYS_TIME, unix.SYS_DUP2,
}

// ofStartsHere are calls of a program's beginning that newer architectures have not.
var ofStartsHere = []uint32{unix.SYS_ARCH_PRCTL}

// ofWritersHere are calls about files that are written which newer architectures have not.
var ofWritersHere = []uint32{
	unix.SYS_OPEN, unix.SYS_UNLINK, unix.SYS_RMDIR, unix.SYS_RENAME, unix.SYS_MKDIR, unix.SYS_CHMOD,
}

// ofRequestsHere are older calls of a process that serves a page.
var ofRequestsHere = []uint32{unix.SYS_EPOLL_WAIT}
