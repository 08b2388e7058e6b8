package web

import "sync"

// How many records are kept: some seconds of a busy router, some megabytes. Handshakes are kept by
// themselves, too, so that no flood of datagrams pushes them out.
const (
	recentRecords    = 8192
	recentHandshakes = 2048
)

// ring holds the last records. They are numbered from 1.
type ring struct {
	mu   sync.Mutex // guards the two below; held only to store or copy pointers
	all  []*entry   // number n stands at (n-1) % len
	last uint64     // number of the newest; 0 = there is none
}

func newRing(size int) ring { return ring{all: make([]*entry, size)} }

// add adds a record and returns its number.
func (r *ring) add(e *entry) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all[r.last%uint64(len(r.all))] = e
	r.last++
	return r.last
}

// newest returns the number of the newest record.
func (r *ring) newest() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// at returns a record by its number; nil where it is not kept.
func (r *ring) at(n uint64) *entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	size := uint64(len(r.all))
	if n == 0 || n > r.last || n+size <= r.last {
		return nil
	}
	return r.all[(n-1)%size]
}

// after copies the records that come after number n, the oldest first, as many as dst holds. It
// returns the number of the first one copied; it is more than n+1 when records in between are gone.
func (r *ring) after(n uint64, dst []*entry) (first uint64, copied int) {
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
