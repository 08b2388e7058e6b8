package namespace

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// mountPrivately gives the command a /proc of its own processes and, unless resolvConf is empty, an /etc/resolv.conf
// with that content.
func mountPrivately(resolvConf string) error {
	// What the host mounts later appears here too, not the other way round.
	if err := unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if resolvConf != "" {
		if err := replaceResolvConf(resolvConf); err != nil {
			return err
		}
	}
	// A container that hides parts of its /proc may not mount another one (mount_namespaces(7)). The command runs with
	// the outer one as well; only ps shows the wrong processes.
	_ = unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	return nil
}

// replaceResolvConf mounts a file over the host's, wherever the symbolic link leads. The file lives in a tmpfs that is
// mounted over /proc, for lack of a better place, only until the file has been bound where it belongs.
func replaceResolvConf(content string) error {
	const path = "/etc/resolv.conf"
	target, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // nothing to mount it over
	}
	if err != nil {
		return fmt.Errorf("replace %s: %w", path, err)
	}
	if err := unix.Mount("tmpfs", "/proc", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=755"); err != nil {
		return fmt.Errorf("replace %s: %w", path, err)
	}
	const source = "/proc/resolv.conf"
	err = os.WriteFile(source, []byte(content), 0o644)
	if err == nil {
		err = os.Chmod(source, 0o644) // whatever the umask: the command may become another user
	}
	if err == nil {
		err = unix.Mount(source, target, "", unix.MS_BIND, "")
	}
	if err = errors.Join(err, unix.Unmount("/proc", unix.MNT_DETACH)); err != nil {
		return fmt.Errorf("replace %s: %w", path, err)
	}
	return nil
}
