package namespace

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"syntap/cmd/internal/hostfile"
)

// resolvConf is the host's resolv.conf, which may change at any time.
type resolvConf struct {
	addresses []netip.Prefix // of the TUN
	changes   *watcher
	last      fileState // of the file that was read
}

// openResolvConf begins to watch it.
func openResolvConf(o Options) *resolvConf {
	return &resolvConf{addresses: o.Addresses, changes: newWatcher(dirsOf(resolvConfPath))}
}

func (c *resolvConf) close() { c.changes.close() }

// wait returns true when it has changed, and false after close.
func (c *resolvConf) wait() bool {
	for c.changes.wait() {
		if now := statResolvConf(); now != c.last {
			c.changes.add(dirsOf(resolvConfPath)) // where a link leads now
			return true
		}
	}
	return false
}

// fileState tells one content of a file from another; the zero value is that of none.
type fileState struct {
	dev, ino uint64
	size     int64
	modified unix.Timespec
}

func statResolvConf() fileState {
	var st unix.Stat_t
	if unix.Stat(resolvConfPath, &st) != nil {
		return fileState{}
	}
	return fileState{uint64(st.Dev), st.Ino, st.Size, st.Mtim}
}

// dirsOf returns the directories of a file and of all symbolic links on the way to it.
func dirsOf(path string) []string {
	const maxLinks = 40 // as the kernel's (path_resolution(7))
	var dirs []string
	for range maxLinks {
		if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil && !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
		target, err := os.Readlink(path)
		if err != nil {
			break
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = target
	}
	return dirs
}

// read returns how the command's names resolve now.
func (c *resolvConf) read() (resolver, error) {
	c.last = statResolvConf()
	conf, err := hostfile.ReadResolvConf(resolvConfPath)
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		return resolver{}, nil // the command cannot read it either
	}
	onHost, err := reachableOnHostOnly(c.addresses)
	if err != nil {
		return resolver{}, fmt.Errorf("list the host's addresses: %w", err)
	}
	r := newResolver(conf, relayAddresses(c.addresses), onHost)
	if _, err := os.Lstat(resolvConfPath); missing && err != nil {
		// Nothing to mount another one over: programs ask 127.0.0.1, and are to reach the host's.
		r.missing, r.changed = true, false
		r.servers[loopback4] = loopback4
		r.order = append(r.order, loopback4)
	}
	return r, nil
}
