package audit

import (
	"sync"
	"sync/atomic"
	"time"

	"syntap/cmd/internal/record"
	"syntap/tun/flow"
)

// refuseAfter is how long new connections wait before they are refused.
const refuseAfter = 3 * time.Second

// entrance keeps new connections out while a sink that must not lose records cannot write them.
type entrance struct {
	closed  atomic.Bool
	refused atomic.Uint64

	mu  sync.Mutex // guards gap; taken only while closed, or about to be
	gap loss       // since it closed
}

// Admission asks whether a connection may begin at the time now. It is asked for every SYN and
// costs a few loads.
func (l *Log) Admission(now time.Time) flow.Admission {
	l.mu.RLock()
	defer l.mu.RUnlock()
	stuck, open := false, 0
	if f := l.opened.Load(); f != nil {
		open = (*f)()
	}
	for _, w := range l.writers {
		stuck = stuck || w.stuck(now, open)
	}
	e := &l.entrance
	if !stuck {
		if e.closed.Load() {
			e.announce(l.writers)
		}
		return flow.Admit
	}
	e.refused.Add(1)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed.Store(true)
	e.gap.reason = record.Suspended
	e.gap.add(now)
	if now.Sub(e.gap.from) < refuseAfter {
		return flow.Wait
	}
	return flow.Refuse
}

// close is for the end of the log.
func (e *entrance) close(l *Log) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	e.announce(l.writers)
}

// announce ends a time in which connections were kept out: the log says how many SYNs that were.
func (e *entrance) announce(writers []*writer) {
	e.mu.Lock()
	gap := e.gap
	e.gap = loss{}
	e.closed.Store(false)
	e.mu.Unlock()
	if gap.n == 0 {
		return
	}
	for _, w := range writers {
		w.enqueue(item{gap: &gap})
	}
}
