package audit

import (
	"sync"
	"sync/atomic"

	"syntap/tun/flow"
)

// ends gathers the ends of connections on their way to a writer. Nobody waits for them, so they
// wake it once and not each.
type ends struct {
	news chan struct{} // holds a token when there are some that the writer does not know of
	n    atomic.Int64  // written with mu held

	mu   sync.Mutex // guards the two below
	list []flow.Flow
	idle []flow.Flow // memory for the next list
}

func newEnds() *ends { return &ends{news: make(chan struct{}, 1)} }

// add reports whether there was room: limit is how many may wait.
func (e *ends) add(f flow.Flow, limit int) bool {
	e.mu.Lock()
	n := len(e.list)
	if n < limit {
		e.list = append(e.list, f)
		e.n.Add(1)
	}
	e.mu.Unlock()
	if n == 0 {
		e.wake()
	}
	return n < limit
}

func (e *ends) len() int { return int(e.n.Load()) }

// wake has the writer look.
func (e *ends) wake() {
	select {
	case e.news <- struct{}{}:
	default: // it is about to
	}
}

// take returns what has gathered; it is valid until the next call.
func (e *ends) take() []flow.Flow {
	e.mu.Lock()
	defer e.mu.Unlock()
	taken := e.list
	e.n.Store(0)
	e.list, e.idle = e.idle[:0], taken
	return taken
}
