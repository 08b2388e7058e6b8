package owner

import "time"

// budget bounds a kind of work to one part in so many of a processor, in the long run.
type budget struct {
	share  time.Duration
	most   time.Duration // that is saved when it is not used
	credit time.Duration
	since  time.Time // when credit was counted
}

// begin returns the time and whether there is any credit left.
func (b *budget) begin() (now time.Time, ok bool) {
	now = time.Now()
	b.credit = min(b.credit+now.Sub(b.since)/b.share, b.most)
	b.since = now
	return now, b.credit > 0
}

// end takes off what the work has cost that began at a time.
func (b *budget) end(began time.Time) { b.credit -= time.Since(began) }
