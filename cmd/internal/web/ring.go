package web

import (
	"sync"

	"syntap/cmd/internal/record"
)

// recentRecords is how many records are kept: some seconds of a busy router, some megabytes.
const recentRecords = 2048

// ring holds the last records. They are numbered from 1.
type ring struct {
	mu   sync.Mutex           // guards the two below; held only to store or copy pointers
	all  []*record.Attributed // number n stands at (n-1) % len
	last uint64               // number of the newest; 0 = there is none
}

func newRing(size int) ring { return ring{all: make([]*record.Attributed, size)} }

func (r *ring) add(record *record.Attributed) {
	r.mu.Lock()
	r.all[r.last%uint64(len(r.all))] = record
	r.last++
	r.mu.Unlock()
}

// newest returns the number of the newest record.
func (r *ring) newest() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// after copies the records that come after number n, the oldest first, as many as dst holds. It
// returns the number of the first one copied; it is more than n+1 when records in between are gone.
func (r *ring) after(n uint64, dst []*record.Attributed) (first uint64, copied int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	size := uint64(len(r.all))
	first = n + 1
	if r.last > size {
		first = max(first, r.last-size+1)
	}
	for first+uint64(copied) <= r.last && copied < len(dst) {
		dst[copied] = r.all[(first+uint64(copied)-1)%size]
		copied++
	}
	return first, copied
}
