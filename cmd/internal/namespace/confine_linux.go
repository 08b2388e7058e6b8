package namespace

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"syntap/cmd/internal/seccomp"
)

// confine takes from this thread the privileges that the command is not to have. It lasts over
// execve.
func confine(s setup) error {
	if !s.AllowSetuid {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("set no_new_privs: %w", err)
		}
	}
	if !s.UserNS {
		if err := limitCapabilities(); err != nil {
			return err
		}
	}
	if err := installFilter(os.Geteuid() == 0); err != nil {
		return err
	}
	return dropCapabilities()
}

// ofContainers are the capabilities that container runtimes leave to root where it shares the
// host's user namespace: no other reaches the host's kernel, devices or network.
var ofContainers = []uintptr{
	unix.CAP_AUDIT_WRITE, unix.CAP_CHOWN, unix.CAP_DAC_OVERRIDE, unix.CAP_FOWNER, unix.CAP_FSETID, unix.CAP_KILL,
	unix.CAP_NET_BIND_SERVICE, unix.CAP_NET_RAW, unix.CAP_SETFCAP, unix.CAP_SETGID, unix.CAP_SETPCAP, unix.CAP_SETUID,
	unix.CAP_SYS_CHROOT,
}

// limitCapabilities drops the others from the bounding set, which limits those that execve gives.
func limitCapabilities() error {
	keep := map[uintptr]bool{}
	for _, c := range ofContainers {
		keep[c] = true
	}
	for c := range uintptr(unix.CAP_LAST_CAP + 1) {
		if keep[c] {
			continue
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil && err != unix.EINVAL { // unknown to this kernel
			return fmt.Errorf("drop capability %d: %w", c, err)
		}
	}
	return nil
}

// dropCapabilities leaves the command the capabilities that its user has by nature: root all of the
// user namespace, other users none. With no_new_privs execve gives root only those that it had
// before. The ambient set would outlast a change of the user.
func dropCapabilities() error {
	var sets [2]unix.CapUserData
	if os.Geteuid() == 0 {
		var err error
		if sets, err = capabilities(); err != nil {
			return err
		}
	}
	sets[0].Inheritable, sets[1].Inheritable = 0, 0 // the ambient set follows
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if err := unix.Capset(&hdr, &sets[0]); err != nil {
		return fmt.Errorf("drop capabilities: %w", err)
	}
	return nil
}

// installFilter has the kernel filter the system calls of this thread and of the program it
// becomes.
func installFilter(packetSockets bool) error {
	filter, err := filterFor(runtime.GOARCH, packetSockets)
	if err != nil || filter == nil {
		return err
	}
	return seccomp.ApplyToThread(filter)
}
