//go:build linux

package host

import (
	"strings"
	"time"

	"github.com/sirupsen/logrus"
)

// repairLog logs the commands by which the host is repaired: the first at once, and then one line a
// minute. It is for one goroutine at a time.
type repairLog struct {
	log      logrus.FieldLogger
	logged   time.Time
	commands []string // not logged yet
	more     int      // commands beyond those
	failed   time.Time
}

const (
	repairLogInterval = time.Minute
	repairLogCommands = 16 // in a line
)

// repaired takes a command that was repeated, or the error of a repair that failed.
func (l *repairLog) repaired(command string, err error) {
	if err != nil {
		if time.Since(l.failed) > repairLogInterval {
			l.failed = time.Now()
			l.log.WithError(err).Warn("cannot repair the host's rules and routes, will try again")
		}
		return
	}
	if len(l.commands) < repairLogCommands {
		l.commands = append(l.commands, command)
	} else {
		l.more++
	}
}

// looked is called after each look at the host.
func (l *repairLog) looked() {
	if time.Since(l.logged) > repairLogInterval {
		l.flush()
	}
}

// flush logs the commands that are not logged yet.
func (l *repairLog) flush() {
	if len(l.commands) == 0 {
		return
	}
	log := l.log.WithField("commands", strings.Join(l.commands, "; "))
	if l.more > 0 {
		log = log.WithField("more", l.more)
	}
	log.Warn("restored rules or routes that another program has removed")
	l.logged, l.commands, l.more = time.Now(), nil, 0
}
