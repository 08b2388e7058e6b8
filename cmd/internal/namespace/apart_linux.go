package namespace

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// Apart describes a process in a user, network and IPC namespace of its own. There is no network to
// be reached, and no process outside that it may trace; it is the same user, and has the
// capabilities there with which it gives up the others.
func Apart() (*syscall.SysProcAttr, error) {
	attr, err := userNamespace()
	if err != nil {
		return nil, err
	}
	attr.Cloneflags = unix.CLONE_NEWUSER | unix.CLONE_NEWNET | unix.CLONE_NEWIPC
	attr.AmbientCaps = []uintptr{unix.CAP_SETPCAP}
	return attr, nil
}
