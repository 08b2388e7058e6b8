//go:build linux

package app

import (
	"strings"
	"time"

	"github.com/sirupsen/logrus"
)

// repairLog logs what the watcher of the host puts back: at once, and then a line a minute. It is
// for one goroutine at a time.
type repairLog struct {
	log      logrus.FieldLogger
	said     time.Time
	commands []string // put back and not said
	more     int      // beyond those
	failed   time.Time
}

const (
	repairLogInterval = time.Minute
	repairLogCommands = 16 // that a line names
)

// repaired takes a command that the watcher had to repeat, or the error with which that failed.
func (l *repairLog) repaired(command string, err error) {
	if err != nil {
		if time.Since(l.failed) > repairLogInterval {
			l.failed = time.Now()
			l.log.WithError(err).Warn("cannot put back what another program has removed")
		}
		return
	}
	if len(l.commands) < repairLogCommands {
		l.commands = append(l.commands, command)
	} else {
		l.more++
	}
}

// looked is called after each look at the host, when there may be something to say.
func (l *repairLog) looked() {
	if time.Since(l.said) > repairLogInterval {
		l.flush()
	}
}

// flush says what was not said.
func (l *repairLog) flush() {
	if len(l.commands) == 0 {
		return
	}
	log := l.log.WithField("commands", strings.Join(l.commands, "; "))
	if l.more > 0 {
		log = log.WithField("more", l.more)
	}
	log.Warn("put back what another program has removed")
	l.said, l.commands, l.more = time.Now(), nil, 0
}
