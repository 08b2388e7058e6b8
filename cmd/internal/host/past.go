//go:build linux

package host

import (
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/time/rate"

	"syntap/tun/route"
)

// pastLog logs traffic past the TUN, of each user and interface once a minute. It is for one
// goroutine.
type pastLog struct {
	log   logrus.FieldLogger
	lines map[route.Past]*pastLine // the key has Packets 0
}

type pastLine struct {
	rate.Sometimes
	packets uint64
}

// maxPastLines bounds the lines. At the cap all start anew.
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
			l.warn(p, line.packets)
			line.packets = 0
		})
	}
}

// warn logs packets like p.
func (l *pastLog) warn(p route.Past, packets uint64) {
	log := l.log.WithFields(logrus.Fields{"interface": p.Interface, "packets": packets})
	switch {
	case p.From != "":
		log = log.WithField("from", p.From)
	case p.UID >= 0: // the kernel's own packets have none, such as the answer to a stray segment
		log = log.WithField("uid", p.UID)
	}
	if p.Query {
		log.WithField("hint", route.QueryHint()).Warn("DNS queries left by an interface to which " +
			"their program binds its socket, unrecorded")
		return
	}
	if !p.Refused {
		log.Warn("packets that should have entered the TUN left by another interface, unrecorded")
		return
	}
	log = log.WithField("hint", "keep them outside with route.exclude or route.exclude_uids, or "+
		"let them pass with route.enforce: count")
	log.Warn("refused packets for the TUN that would have left by another interface")
}
