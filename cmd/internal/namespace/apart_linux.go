package namespace

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// Apart describes a process in a user, network and IPC namespace of its own. It reaches no network,
// and may trace no process outside. Its user stays the same. It has the capabilities there with
// which it gives up the others.
func Apart() (*syscall.SysProcAttr, error) {
	attr, err := userNamespace()
	if err != nil {
		return nil, err
	}
	attr.Cloneflags = unix.CLONE_NEWUSER | unix.CLONE_NEWNET | unix.CLONE_NEWIPC
	attr.AmbientCaps = []uintptr{unix.CAP_SETPCAP}
	return attr, nil
}
