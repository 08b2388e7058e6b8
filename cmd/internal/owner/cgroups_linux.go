package owner

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// cgroups knows the places of cgroups of version 2 by the ids that sockets have, which are the
// inode numbers of their directories. So the place of a client is known also where its process is
// not. A goroutine reads the directories when a socket has an id that is not known.
type cgroups struct {
	root string // where they are mounted; "" = not

	mu     sync.Mutex // guards all below
	places map[uint64]place
	next   time.Time // when they may be read again
	rest   time.Duration
	walks  sync.WaitGroup
	closed bool
}

const (
	maxCgroups    = 1 << 16
	cgroupRest    = time.Second // between two readings; each time twice as long when an id was not there
	maxCgroupRest = time.Minute
)

// newCgroups returns them, and begins to read them.
func newCgroups() *cgroups {
	c := &cgroups{root: CgroupRoot(), rest: cgroupRest}
	c.place(1, time.Now()) // the root
	return c
}

// CgroupRoot returns where cgroups of version 2 are mounted, "" if they are not
// (proc_pid_mounts(5)). A Finder reads directories below it while it works.
func CgroupRoot() string {
	mounts, _ := os.ReadFile("/proc/self/mounts")
	for line := range strings.Lines(string(mounts)) {
		if words := strings.Fields(line); len(words) > 2 && words[2] == "cgroup2" {
			return words[1]
		}
	}
	return ""
}

// place returns the place of a cgroup, the zero value if it is not known, or not yet.
func (c *cgroups) place(id uint64, now time.Time) place {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, ok := c.places[id]
	if ok || id == 0 || c.root == "" || c.closed || now.Before(c.next) {
		return p
	}
	c.next = now.Add(maxCgroupRest) // until this reading is over
	c.walks.Go(func() {
		places := c.read()
		c.mu.Lock()
		defer c.mu.Unlock()
		c.places = places
		c.rest = min(2*c.rest, maxCgroupRest) // where it is in another part of the hierarchy, or gone
		if _, ok := places[id]; ok {
			c.rest = cgroupRest
		}
		c.next = time.Now().Add(c.rest)
	})
	return place{}
}

// read goes over all directories. Process 1, whose cgroup is init.scope, makes sockets for
// services: it tells nothing.
func (c *cgroups) read() map[uint64]place {
	places := make(map[uint64]place)
	if c.root == "" {
		return places
	}
	_ = filepath.WalkDir(c.root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil && path == c.root:
			return err
		case err != nil:
			return fs.SkipDir // it has gone
		case !entry.IsDir():
			return nil
		case len(places) >= maxCgroups:
			return errors.New("too many")
		}
		var stat syscall.Stat_t
		if syscall.Lstat(path, &stat) != nil {
			return nil
		}
		name := strings.TrimPrefix(path, c.root)
		p := place{unit: unitOf(name), container: containerOf(name)}
		if p.unit == "init.scope" {
			p.unit = ""
		}
		places[stat.Ino] = p
		return nil
	})
	return places
}

// close returns when nothing is read any more.
func (c *cgroups) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.walks.Wait()
}
