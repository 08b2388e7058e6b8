//go:build linux

package host

import (
	"context"

	"github.com/sirupsen/logrus"

	"syntap/cmd/internal/config"
	"syntap/tun/route"
)

// NoticeBoard logs each notice when it appears. It is for one goroutine at a time.
type NoticeBoard struct {
	log   *logrus.Logger
	shown map[string]bool // by text: the notices of the last call
}

func newNoticeBoard(log *logrus.Logger) *NoticeBoard {
	return &NoticeBoard{log: log, shown: make(map[string]bool)}
}

// show logs the notices that the last call did not have.
func (b *NoticeBoard) show(all []route.Notice) {
	now := make(map[string]bool, len(all))
	for _, n := range all {
		now[n.Text] = true
		if b.shown[n.Text] {
			continue
		}
		log := logrus.NewEntry(b.log)
		if n.Hint != "" {
			log = log.WithField("hint", n.Hint)
		}
		level := logrus.WarnLevel
		if n.Info {
			level = logrus.InfoLevel
		}
		log.Log(level, n.Text)
	}
	b.shown = now
}

// Announce logs the notices about the host whose traffic is routed from now on, and returns the
// board on which they stand.
func Announce(c *config.Config, stateDir string, log *logrus.Logger) *NoticeBoard {
	warnStrict(c, log)
	board := newNoticeBoard(log)
	if notices, err := Notices(c, stateDir); err != nil {
		log.WithError(err).Warn("cannot read the host's routing")
	} else {
		board.show(notices)
	}
	return board
}

// Watch keeps the changes of the host in place until ctx ends, and logs repairs, notices and
// traffic past the TUN, after which it calls past.
func (b *NoticeBoard) Watch(ctx context.Context, h *route.Host, past func()) error {
	repairs := &repairLog{log: b.log}
	defer repairs.flush()
	traffic := newPastLog(b.log)
	return h.Watch(ctx, route.Report{
		Repair: repairs.repaired,
		Looked: func(notices []route.Notice) { repairs.looked(); b.show(notices) },
		Past: func(all []route.Past) {
			traffic.report(all)
			past()
		},
	})
}
