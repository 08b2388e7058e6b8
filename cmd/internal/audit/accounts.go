package audit

import (
	"sync"

	"syntap/cmd/internal/record"
)

// accounts are those of the frames that routers of a run have read, one router after the other.
type accounts struct {
	mu   sync.Mutex // guards all below
	all  record.Frames
	told bool // by a router at least
	died bool // a router
	read func() (uint64, error)
}

func (a *accounts) add(f *record.Frames) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if f == nil {
		a.died = true
		return
	}
	a.told = true
	a.all.Read += f.Read
	a.all.Accounted += f.Accounted
}

func (a *accounts) countRead(f func() (uint64, error)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.read = f
}

// sum returns the account of the run; nil where there is none.
func (a *accounts) sum() *record.Frames {
	a.mu.Lock()
	defer a.mu.Unlock()
	sum, known := a.all, a.told
	if a.died && a.read != nil {
		if n, err := a.read(); err == nil {
			known = true
			if n > sum.Read {
				sum.Died, sum.Read = n-sum.Read, n
			}
		}
	}
	if !known {
		return nil
	}
	return &sum
}
