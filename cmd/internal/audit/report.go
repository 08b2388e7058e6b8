package audit

import (
	"time"

	"github.com/sirupsen/logrus"
)

// quiet is the least time between two reports on the failure of a sink.
const quiet = time.Minute

// report tells the program's log that a sink has begun to fail, and that it works again: once each,
// however many records are concerned.
type report struct {
	sink    *Sink
	logger  logrus.FieldLogger
	failing bool // and it has been said
	next    time.Time
}

// update takes the result of a write.
func (r *report) update(err error) {
	if err == nil {
		r.works()
		return
	}
	now := time.Now()
	if r.failing || r.logger == nil || now.Before(r.next) {
		return
	}
	r.failing, r.next = true, now.Add(quiet)
	r.logger.WithError(err).WithField("on_full", r.sink.config.OnFull).Error("handshake log cannot be written")
}

func (r *report) works() {
	if !r.failing {
		return
	}
	r.failing = false
	r.logger.WithFields(logrus.Fields{"path": r.sink.path, "lost": r.sink.lost.Load()}).
		Info("handshake log is written again")
}
