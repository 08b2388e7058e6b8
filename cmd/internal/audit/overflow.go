package audit

import (
	"sync"
	"sync/atomic"
	"time"

	"syntap/cmd/internal/record"
)

// overflow counts the records that found a writer's queue full, until they are announced, and keeps
// announcements that did.
type overflow struct {
	total atomic.Uint64 // records

	mu     sync.Mutex // guards the two below
	losses []loss     // since the last announcement, one for each reason
	before int        // items of the queue that are to be written before the announcement
}

// add counts a record of the time t; queued is how many items the queue holds.
func (o *overflow) add(t time.Time, queued int) {
	o.total.Add(1)
	l := loss{reason: record.QueueFull}
	l.add(t)
	o.announce(l, queued)
}

// announce has a loss announced behind the items that the queue holds.
func (o *overflow) announce(l loss, queued int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.losses) == 0 {
		o.before = queued
	}
	o.losses = merge(o.losses, l)
}

// next tells that an item of the queue is in the batch, and returns the losses that are to be
// announced behind it; with all, any loss.
func (o *overflow) next(all bool) (losses []loss) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.before--
	if o.before <= 0 || all {
		losses, o.losses = o.losses, nil
	}
	return losses
}

// takeOver takes the losses that a writer that has ended has not announced.
func (o *overflow) takeOver(former *overflow) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, l := range former.losses {
		o.losses = merge(o.losses, l)
	}
	o.before = max(o.before, former.before)
}
