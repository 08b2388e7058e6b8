//go:build linux

package stack

import (
	"maps"
	"sync"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// descriptorWarnings is the least time between two warnings.
const descriptorWarnings = time.Minute

// Failures counts failures of host sockets by the name of the error number, such as EMFILE. It logs
// a warning if the process or the host has no descriptor left: a client does not see that, and
// tries again.
type Failures struct {
	mu     sync.Mutex // guards the fields below
	n      map[string]uint64
	warned time.Time
	since  int // failures for want of a descriptor since then
}

// Snapshot returns the numbers by name.
func (f *Failures) Snapshot() map[string]uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.n)
}

// add counts a failure, and logs a warning if one is due.
func (f *Failures) add(errno syscall.Errno, log logrus.FieldLogger) {
	failed := f.count(errno)
	if failed == 0 {
		return
	}
	remedy := "raise the process's limit of open files, LimitNOFILE= of its unit or ulimit -n, " +
		"or lower limits.tcp_flows"
	if errno == unix.ENFILE {
		remedy = "raise the host's limit of open files, sysctl fs.file-max"
	}
	log.WithFields(logrus.Fields{"error": errno, "failed": failed, "hint": remedy}).
		Warn("no descriptors left: new connections wait until others end, or time out")
}

// count counts a failure. If a warning about descriptors is due, it returns the number of such
// failures since the last warning, else 0.
func (f *Failures) count(errno syscall.Errno) (failed int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.n == nil {
		f.n = make(map[string]uint64)
	}
	f.n[unix.ErrnoName(errno)]++
	if errno != unix.EMFILE && errno != unix.ENFILE {
		return 0
	}
	f.since++
	now := time.Now()
	if !f.warned.IsZero() && now.Sub(f.warned) < descriptorWarnings {
		return 0
	}
	failed = f.since
	f.warned, f.since = now, 0
	return failed
}
