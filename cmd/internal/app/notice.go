//go:build linux

package app

import (
	"github.com/sirupsen/logrus"

	"syntap/tun/route"
)

// noticeBoard logs each notice when it appears. It is for one goroutine at a time.
type noticeBoard struct {
	log   *logrus.Logger
	shown map[string]bool // by text: the notices of the last call
}

func newNoticeBoard(log *logrus.Logger) *noticeBoard {
	return &noticeBoard{log: log, shown: make(map[string]bool)}
}

// show logs the notices that the last call did not have.
func (b *noticeBoard) show(all []route.Notice) {
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
