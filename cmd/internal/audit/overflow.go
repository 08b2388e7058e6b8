package audit

import (
	"sync"
	"sync/atomic"
	"time"

	"syntap/cmd/internal/record"
)

// overflow counts the records that found a writer's queue full, until they are announced.
type overflow struct {
	total atomic.Uint64

	mu     sync.Mutex // guards the two below
	loss   loss       // since the last announcement
	before int        // items of the queue that are to be written before the announcement
}

// add counts a record of the time t; queued is how many items the queue holds.
func (o *overflow) add(t time.Time, queued int) {
	o.total.Add(1)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.loss.n == 0 {
		o.loss.reason = record.QueueFull
		o.before = queued
	}
	o.loss.add(t)
}

// next tells that an item of the queue is in the batch, and returns the loss that is to be
// announced behind it; with all, any loss.
func (o *overflow) next(all bool) (l loss) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.before--
	if o.before <= 0 || all {
		l, o.loss = o.loss, loss{}
	}
	return l
}

// takeOver takes the losses that a writer that has ended has not announced.
func (o *overflow) takeOver(former *overflow) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.loss.merge(former.loss)
	o.loss.reason = record.QueueFull
	o.before = max(o.before, former.before)
}
