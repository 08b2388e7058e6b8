package isolate

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/cap"
)

// userVariable is the variable of the environment that tells a process in a user namespace of its
// own as which user it runs outside.
const userVariable = "SYNTAP_USER"

// NeedsAlone reports whether a process that this one starts can empty its bounding set in a user
// namespace of its own alone: this one lacks CAP_SETPCAP.
func NeedsAlone() bool { return !may(cap.SETPCAP) }

// Alone describes a process in a user namespace of its own, which begins by giving up what it may
// do there (Begin). env is for its environment. StartAlone starts it. ok is false where AppArmor
// would leave it no capability in the namespace.
func Alone() (attr *syscall.SysProcAttr, env string, ok bool) {
	const restriction = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"
	if text, err := os.ReadFile(restriction); err == nil && strings.TrimSpace(string(text)) == "1" {
		return nil, "", false
	}
	uid, gid := os.Geteuid(), os.Getegid()
	attr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER}
	if uid == 0 { // to map root takes CAP_SETFCAP
		attr.AmbientCaps = []uintptr{unix.CAP_SETPCAP}
	} else { // it is root there, which takes no capset(2)
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: gid, Size: 1}}
	}
	return attr, userVariable + "=" + strconv.Itoa(uid), true
}

// StartAlone calls start, which starts a process that Alone describes. Meanwhile this process may
// be traced by others of its user that have its capabilities: the kernel lets it write the child's
// maps of users only if Hide does not hold it.
func StartAlone(start func() error) error {
	if dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err == nil && dumpable != 1 {
		if err := unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0); err != nil {
			return err
		}
		defer func() { _ = Hide() }()
	}
	return start()
}

// Begin does a part of Enter, for a router: it takes all capabilities from the bounding set, where
// this process may do that. At the start, when there are few threads and others are still at work,
// it delays no packet: the kernel has a call for each capability and thread. In a user namespace of
// its own it gives up all other capabilities, too. Where a filter forbids capset(2) it executes
// this program again for that: root gets none whose bounding set is empty.
func Begin() error {
	bounding := dropBounding(nil)
	if os.Getenv(userVariable) == "" || !may(cap.SETPCAP) {
		return bounding
	}
	err := cap.NewSet().SetProc()
	if errors.Is(err, unix.EPERM) {
		err = unix.Exec("/proc/self/exe", os.Args, os.Environ())
	}
	return errors.Join(bounding, err)
}

// userOutside returns the user of this process outside of a namespace of its own.
func userOutside() (uint32, bool) {
	uid, err := strconv.ParseUint(os.Getenv(userVariable), 10, 32)
	return uint32(uid), err == nil
}
