package namespace

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"syntap/cmd/internal/hint"
)

// namespaces are init's; the door makes those of the command's network.
const namespaces = unix.CLONE_NEWNS | unix.CLONE_NEWPID

// noUserNamespace is for root where user namespaces are forbidden.
func noUserNamespace() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Cloneflags: namespaces}
}

// userNamespace describes a process in all the namespaces, with the capabilities there that init
// needs. Every id stays the same: a caller that may set ids maps all there are, so that files keep
// their owners and su works; any other caller maps its own.
func userNamespace() (*syscall.SysProcAttr, error) {
	all := hasCapability(unix.CAP_SETUID) && hasCapability(unix.CAP_SETGID)
	attr := &syscall.SysProcAttr{
		Cloneflags: namespaces | unix.CLONE_NEWUSER,
		// The execve of a user other than root drops all but ambient capabilities
		// (capabilities(7)).
		AmbientCaps: []uintptr{unix.CAP_NET_ADMIN, unix.CAP_SYS_ADMIN},
	}
	if !all {
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Geteuid(), HostID: os.Geteuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getegid(), HostID: os.Getegid(), Size: 1}}
		return attr, nil
	}
	var err error
	if attr.UidMappings, err = identity("/proc/self/uid_map"); err != nil {
		return nil, err
	}
	if attr.GidMappings, err = identity("/proc/self/gid_map"); err != nil {
		return nil, err
	}
	setgroups, err := os.ReadFile("/proc/self/setgroups")
	attr.GidMappingsEnableSetgroups = err == nil && strings.TrimSpace(string(setgroups)) == "allow"
	return attr, nil
}

// identity maps every id of our own user namespace to itself; path holds that namespace's map.
func identity(path string) ([]syscall.SysProcIDMap, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, hint.Fail(fmt.Errorf("read id map: %w", err), "mount -t proc proc /proc")
	}
	var ids []syscall.SysProcIDMap
	for line := range strings.Lines(string(b)) {
		var first, outside, count uint64
		if _, err := fmt.Sscan(line, &first, &outside, &count); err != nil {
			return nil, fmt.Errorf("read id map: %s: %q: %w", path, line, err)
		}
		n := int(min(count, math.MaxInt))
		ids = append(ids, syscall.SysProcIDMap{ContainerID: int(first), HostID: int(first), Size: n})
	}
	return ids, nil
}

// hasCapability reports whether this process may use the capability.
func hasCapability(c uintptr) bool { return slices.Contains(effectiveCapabilities(), c) }

// effectiveCapabilities returns those that this thread may use, none where it cannot be told.
func effectiveCapabilities() []uintptr {
	sets, err := capabilities()
	var all []uintptr
	for c := range uintptr(unix.CAP_LAST_CAP + 1) {
		if err == nil && sets[c/32].Effective&(1<<(c%32)) != 0 {
			all = append(all, c)
		}
	}
	return all
}

// capabilities returns the sets of this thread.
func capabilities() (sets [2]unix.CapUserData, err error) {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if err := unix.Capget(&hdr, &sets[0]); err != nil {
		return sets, fmt.Errorf("read capabilities: %w", err)
	}
	return sets, nil
}
