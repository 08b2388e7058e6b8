//go:build linux

package stack

import (
	"sync"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// descriptorWarnings are at least this far apart.
const descriptorWarnings = time.Minute

// descriptors says that the process, or the host, has no descriptor left for a host socket: a
// client is not told, and tries again.
type descriptors struct {
	mu     sync.Mutex // guards the fields below
	said   time.Time
	failed int // since then
}

// note notes a failure to open a socket.
func (d *descriptors) note(errno syscall.Errno, log logrus.FieldLogger) {
	remedy := "raise the process's limit of open files, LimitNOFILE= of its unit or ulimit -n, or lower limits.tcp_flows"
	switch errno {
	case unix.EMFILE:
	case unix.ENFILE:
		remedy = "raise the host's limit of open files, sysctl fs.file-max"
	default:
		return
	}
	d.mu.Lock()
	d.failed++
	failed, now := d.failed, time.Now()
	quiet := !d.said.IsZero() && now.Sub(d.said) < descriptorWarnings
	if !quiet {
		d.said, d.failed = now, 0
	}
	d.mu.Unlock()
	if !quiet {
		log.WithFields(logrus.Fields{"error": errno, "failed": failed, "hint": remedy}).
			Warn("no descriptors left: new connections wait until others end, or time out")
	}
}
