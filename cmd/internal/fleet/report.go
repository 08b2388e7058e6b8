package fleet

import (
	"context"
	"errors"
	"time"

	"github.com/sirupsen/logrus"
)

// quiet is the least time between two reports on the failure of a store.
const quiet = time.Minute

// report tells the program's log that a store has begun to fail, and that it works again: once
// each.
type report struct {
	logger  logrus.FieldLogger
	failing bool // and it has been said
	next    time.Time
}

// refused tells of records that the store will not keep.
func (r *report) refused(n, first, last uint64, err error) {
	log := r.logger
	if err != nil {
		log = log.WithError(err)
	}
	log.Errorf("the store refuses %d records for good: among seq %d to %d", n, first, last)
}

// failed takes an error of the store, or of the log. The end of the ship is none.
func (s *ship) failed(err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	text := err.Error()
	s.counters.failing.Store(&text)
	now := time.Now()
	if r := &s.say; !r.failing && !now.Before(r.next) {
		r.failing, r.next = true, now.Add(quiet)
		r.logger.WithError(err).Error("records cannot be sent to the store: they wait in the log")
	}
}

// works takes a success.
func (s *ship) works() {
	s.backoff = 0
	s.counters.failing.Store(nil)
	if s.say.failing {
		s.say.failing = false
		s.say.logger.Info("records are sent to the store again")
	}
}
