package isolate

import "golang.org/x/sys/unix"

const auditArch = unix.AUDIT_ARCH_AARCH64

// legacy are calls that have another name here.
var legacy = []uint32{unix.SYS_FSTATAT}

// ofStartsHere are calls of a program's beginning that this architecture alone has: none.
var ofStartsHere []uint32

// ofWritersHere are older calls for files: none.
var ofWritersHere []uint32

// ofRequestsHere are older calls of a process that serves a page: none.
var ofRequestsHere []uint32
