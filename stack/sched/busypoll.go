//go:build linux

package sched

import (
	"sync/atomic"
	"time"
)

// BusyPoll makes a [Poller] without events poll for a while before it blocks. It yields in between,
// so that goroutines that wait for other descriptors can run. So the next packet is seen at once;
// waking a thread takes longer than all other work on a small packet. Linux does the same for
// sockets (net.core.busy_read).
//
// It polls only if that has paid recently: traffic during a poll earns a credit, and a poll in vain
// costs two. Without credit, every tryEvery-th wait begins with a poll. So it costs next to nothing
// if far ends are distant.
//
// It does not poll while bulk tasks alone move bytes, which wait for their ends and not for a
// thread: each poll would take the processor from these ends.
//
// Polling takes a processor from others for up to the limit. It is for machines that have more
// processors than the scheduler has workers.
type BusyPoll struct {
	sched *Scheduler
	start time.Time    // of the clock of the next two, in nanoseconds
	limit atomic.Int64 // how long to poll after traffic; 0 disables it
	last  atomic.Int64 // when there was traffic

	// The poller's.
	polling bool
	seen    int64 // last, when the poll looked last
	credits int   // up to maxCredits
	waits   int   // without a poll, up to tryEvery
}

const (
	maxCredits = 16
	tryEvery   = 16
)

// NewBusyPoll returns a BusyPoll for a poller beside the workers of s. It polls for up to limit
// after traffic; 0 disables it.
func NewBusyPoll(s *Scheduler, limit time.Duration) *BusyPoll {
	b := &BusyPoll{sched: s, start: time.Now()}
	b.SetLimit(limit)
	return b
}

// SetLimit changes the limit. It may be called from any goroutine.
func (b *BusyPoll) SetLimit(limit time.Duration) { b.limit.Store(int64(limit)) }

func (b *BusyPoll) now() int64 { return int64(time.Since(b.start)) }

// Traffic notes that there was something to read. Goroutines that read from elsewhere than the
// poller call it, too.
func (b *BusyPoll) Traffic() {
	if b.limit.Load() > 0 {
		b.last.Store(b.now())
	}
}

// again is called when there is nothing to read. It reports whether to poll again at once.
func (b *BusyPoll) again() bool {
	limit := b.limit.Load()
	if limit == 0 || b.sched.bulkAlone() || !b.polling && !b.pays() {
		b.polling = false
		return false
	}
	last := b.last.Load()
	if !b.polling {
		b.polling, b.seen = true, last
	}
	if last != b.seen {
		b.seen = last
		b.credits = min(b.credits+1, maxCredits)
	}
	if b.now()-last < limit {
		return true
	}
	b.polling = false
	b.credits = max(b.credits-2, 0)
	return false
}

// pays reports whether a wait begins with a poll.
func (b *BusyPoll) pays() bool {
	if b.credits > 0 {
		return true
	}
	b.waits = (b.waits + 1) % tryEvery
	return b.waits == 0
}
