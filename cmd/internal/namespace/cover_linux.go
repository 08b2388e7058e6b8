package namespace

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"syntap/cmd/internal/hostfile"
)

const resolvConfPath = "/etc/resolv.conf"

// covers are the mounts over single paths of the host. The kernel drops such a mount when the host
// removes or replaces the file below it; keep puts it back.
type covers struct {
	mu      sync.Mutex // guards the fields below
	hidden  []*cover   // or read-only
	resolv  *cover     // nil: the host's resolv.conf is to be seen
	content string     // of the command's
	file    *os.File   // that has it
}

// cover is something mounted at a path.
type cover struct {
	path  string
	mount func() error
	found unix.Stat_t // at the path, once mounted
}

// put mounts the cover unless it is in place.
func (c *cover) put() error {
	var now unix.Stat_t
	if unix.Lstat(c.path, &now) == nil && now.Dev == c.found.Dev && now.Ino == c.found.Ino {
		return nil
	}
	if err := c.mount(); err != nil {
		return err
	}
	if err := unix.Lstat(c.path, &c.found); err != unix.ENOENT { // hidden with a directory on the way
		return err
	}
	return nil
}

// place puts all covers that s asks for.
func (c *covers) place(s setup) error {
	for _, path := range s.Hide {
		h := &cover{path: path, mount: func() error { return mask(path) }}
		if err := h.put(); err != nil {
			return err
		}
		c.hidden = append(c.hidden, h)
	}
	if s.KeepHosts && !slices.Contains(s.Hide, hostfile.HostsPath) {
		h := &cover{path: hostfile.HostsPath, mount: func() error { return protect(hostfile.HostsPath) }}
		if err := h.put(); err != nil {
			return err
		}
		c.hidden = append(c.hidden, h)
	}
	if s.ResolvConf == "" {
		return nil
	}
	return c.setResolvConf(s.ResolvConf)
}

// keep puts covers back that the host has pushed aside, for as long as init lives.
func (c *covers) keep() {
	dirs := []string{filepath.Dir(resolvConfPath)}
	for _, h := range c.hidden {
		dirs = append(dirs, filepath.Dir(h.path))
	}
	w := newWatcher(dirs)
	for again := true; again; again = w.wait() {
		c.mu.Lock()
		for _, h := range c.hidden {
			_ = h.put() // an error: there is nothing to hide now
		}
		if c.resolv != nil {
			_ = c.resolv.put() // an error: the host has none now
		}
		c.mu.Unlock()
	}
}

// setResolvConf has the command see a resolv.conf with this content from now on.
func (c *covers) setResolvConf(content string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.content
	c.content = content
	if c.resolv == nil {
		c.resolv = &cover{path: resolvConfPath, mount: c.mountResolvConf}
	} else if old != content {
		// Padded, so that it is never empty for those who read meanwhile.
		padding := strings.Repeat("\n", max(0, len(old)-len(content)))
		if _, err := c.file.WriteAt([]byte(content+padding), 0); err != nil {
			return fmt.Errorf("change %s: %w", resolvConfPath, err)
		}
		_ = c.file.Truncate(int64(len(content)))
	}
	return c.resolv.put()
}

// mountResolvConf mounts a file with the content over the host's. A symbolic link is covered
// itself, not the file that it leads to, which the host's resolver replaces now and then. mu is
// held.
func (c *covers) mountResolvConf() error {
	file, tree, err := newFile(c.content)
	if err == nil {
		defer unix.Close(tree)
		err = unix.MoveMount(tree, "", unix.AT_FDCWD, resolvConfPath, unix.MOVE_MOUNT_F_EMPTY_PATH)
	}
	if err != nil {
		return fmt.Errorf("replace %s: %w", resolvConfPath, err)
	}
	if c.file != nil {
		_ = c.file.Close()
	}
	c.file = file
	return nil
}

// newFile makes a file that is nowhere to be found, and a mount of it that waits for its place.
func newFile(content string) (file *os.File, tree int, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for good: the thread, and its mounts, end with this function
		file, tree, err = newFileHere(content)
	}()
	<-done
	return file, tree, err
}

func newFileHere(content string) (file *os.File, tree int, err error) {
	const dir, path = "/proc", "/proc/resolv.conf" // any directory would do
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return nil, -1, err
	}
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return nil, -1, err
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", harmless, "mode=755"); err != nil {
		return nil, -1, err
	}
	if file, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644); err != nil {
		return nil, -1, err
	}
	if _, err = file.WriteString(content); err == nil {
		err = file.Chmod(0o644) // whatever the umask: the command may become another user
	}
	if err == nil {
		tree, err = unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	}
	if err != nil {
		_ = file.Close()
		return nil, -1, err
	}
	return file, tree, nil
}
