package namespace

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	harmless = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	readOnly = unix.MS_RDONLY | harmless
)

// mountPrivately gives the command a /proc of its own processes, its own /etc/resolv.conf and
// nothing at hidden paths.
func mountPrivately(s setup, covers *covers) error {
	// Later mounts of the host appear here too, not the other way round; later mounts of init
	// appear before the command.
	for _, propagation := range []uintptr{unix.MS_SLAVE, unix.MS_SHARED} {
		if err := unix.Mount("", "/", "", propagation|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("make mounts private: %w", err)
		}
	}
	if err := covers.place(s); err != nil {
		return err
	}
	// A container that hides parts of its /proc may not mount another one (mount_namespaces(7)),
	// and neither may a session in a session of root. The command runs with the outer one as well;
	// only ps shows the wrong processes.
	_ = unix.Mount("proc", "/proc", "proc", harmless, "")
	if os.Geteuid() != 0 {
		return nil // the modes of the files protect them
	}
	return errors.Join(protectProc(), protectElsewhere())
}

// protectProc protects the parts of /proc that belong to the whole machine from root's command, as
// container runtimes do (the OCI runtime specification's readonlyPaths and maskedPaths, as in
// Docker's defaults). /proc/sys/net stays: it shows each process its own network namespace.
func protectProc() error {
	for _, path := range []string{
		"/proc/bus", "/proc/dynamic_debug", "/proc/fs", "/proc/irq", "/proc/mtrr", "/proc/sys", "/proc/sysrq-trigger",
	} {
		err := protect(path)
		if err == nil {
			err = protectTree(path) // with binfmt_misc, where this is the outer /proc
		}
		if err != nil {
			return err
		}
	}
	if err := bind("/proc/sys/net", "/proc/sys/net"); err == nil {
		_ = unix.Mount("", "/proc/sys/net", "", unix.MS_REMOUNT|unix.MS_BIND|harmless, "") // an error: a container's is read-only
	}
	return mask(
		"/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/key-users", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug",
		"/proc/scsi", "/proc/timer_list", "/proc/timer_stats",
	)
}

// kernelFiles are the types of the filesystems whose files are the kernel's, and their magic
// numbers (statfs(2)).
var kernelFiles = map[string]int64{
	"proc": unix.PROC_SUPER_MAGIC, "sysfs": unix.SYSFS_MAGIC, "debugfs": unix.DEBUGFS_MAGIC, "tracefs": unix.TRACEFS_MAGIC,
	"securityfs": unix.SECURITYFS_MAGIC, "efivarfs": unix.EFIVARFS_MAGIC, "binfmt_misc": unix.BINFMTFS_MAGIC,
	"cgroup": unix.CGROUP_SUPER_MAGIC, "cgroup2": unix.CGROUP2_SUPER_MAGIC,
}

// protectElsewhere makes the same filesystems read-only where the host has mounted them in other
// places, such as a chroot.
func protectElsewhere() error {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("list mounts: %w", err)
	}
	for line := range strings.Lines(string(mounts)) { // proc_pid_mountinfo(5)
		mount, source, _ := strings.Cut(line, " - ")
		words := strings.Fields(mount)
		kind, _, _ := strings.Cut(source, " ")
		magic, ok := kernelFiles[kind]
		if !ok || len(words) < 5 {
			continue
		}
		path := unescape.Replace(words[4])
		if path == "/proc" || path == "/sys" || strings.HasPrefix(path, "/proc/") || strings.HasPrefix(path, "/sys/") {
			continue
		}
		var found unix.Statfs_t
		if unix.Statfs(path, &found) != nil || int64(found.Type) != magic {
			continue // something else covers it
		}
		if err := protectTree(path); err != nil {
			return err
		}
	}
	return nil
}

// unescape undoes the escapes of mountinfo.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

// protect makes a path read-only if it exists.
func protect(path string) error {
	err := bind(path, path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = unix.Mount("", path, "", unix.MS_REMOUNT|unix.MS_BIND|readOnly, "")
	}
	if err != nil {
		return fmt.Errorf("make %s read-only: %w", path, err)
	}
	return nil
}

func bind(source, target string) error {
	return unix.Mount(source, target, "", unix.MS_BIND|unix.MS_REC, "")
}

// mask covers each of the paths that exist with something empty.
func mask(paths ...string) error {
	for _, path := range paths {
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err == nil && info.IsDir():
			err = unix.Mount("tmpfs", path, "tmpfs", readOnly, "size=0,mode=755")
		case err == nil:
			err = bind("/dev/null", path)
		}
		if err != nil {
			return fmt.Errorf("hide %s: %w", path, err)
		}
	}
	return nil
}

// mountSys gives the command a read-only /sys with the interfaces of its network namespace, and the
// host's control groups. A container may have none but its own; then that is made read-only.
func mountSys(network *os.File) error { return inNetwork(network, mountSysHere) }

func mountSysHere() error {
	const groups = "/sys/fs/cgroup"
	tree, err := unix.OpenTree(unix.AT_FDCWD, groups, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err == nil {
		defer unix.Close(tree)
	} else {
		tree = -1 // none, or a kernel before 5.2
	}
	if unix.Mount("sysfs", "/sys", "sysfs", readOnly, "") != nil {
		return protectTree("/sys")
	}
	if tree >= 0 {
		if err := unix.MoveMount(tree, "", unix.AT_FDCWD, groups, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
			return fmt.Errorf("mount %s: %w", groups, err)
		}
		if err := protectTree(groups); err != nil {
			return err
		}
	}
	if os.Geteuid() != 0 {
		return nil
	}
	return mask("/sys/firmware", "/sys/devices/virtual/powercap")
}

// protectTree makes the mount at a path, and all mounts below it, read-only.
func protectTree(path string) error {
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	err := unix.MountSetattr(unix.AT_FDCWD, path, unix.AT_RECURSIVE, &attr)
	switch err {
	case nil, unix.ENOENT:
		return nil
	case unix.ENOSYS, unix.EINVAL: // before Linux 5.12; not a mount
		return protect(path) // itself at least
	}
	return fmt.Errorf("make %s read-only: %w", path, err)
}
