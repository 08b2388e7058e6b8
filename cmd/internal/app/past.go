//go:build linux

package app

import (
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/time/rate"

	"syntap/tun/route"
)

// pastLog logs traffic that has gone past the TUN: each user and interface once a minute. It is for
// one goroutine.
type pastLog struct {
	log   logrus.FieldLogger
	lines map[route.Past]*pastLine // by all but the number of packets
}

type pastLine struct {
	rate.Sometimes
	packets uint64
}

// maxPastLines bounds the users and interfaces that are told apart.
const maxPastLines = 1024

func newPastLog(log logrus.FieldLogger) *pastLog {
	return &pastLog{log: log, lines: make(map[route.Past]*pastLine)}
}

func (l *pastLog) report(all []route.Past) {
	for _, p := range all {
		key := p
		key.Packets = 0
		line := l.lines[key]
		if line == nil {
			if len(l.lines) >= maxPastLines {
				clear(l.lines)
			}
			line = &pastLine{Sometimes: rate.Sometimes{First: 1, Interval: time.Minute}}
			l.lines[key] = line
		}
		line.packets += p.Packets
		line.Do(func() {
			log := l.log.WithFields(logrus.Fields{"interface": p.Interface, "packets": line.packets})
			switch {
			case p.From != "":
				log = log.WithField("from", p.From)
			case p.UID >= 0: // else it is the kernel's, such as the answer to a segment of a connection that has ended
				log = log.WithField("uid", p.UID)
			}
			message := "packets that the TUN should have had have left by another interface, unrecorded"
			if p.Refused {
				message = "packets that the TUN should have had would leave by another interface: refused"
				log = log.WithField("hint", "keep it outside with route.exclude or route.exclude_uids, or let it pass with route.enforce: count")
			}
			log.Warn(message)
			line.packets = 0
		})
	}
}
