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

// admission keeps new connections out while a sink that must not lose records cannot write them.
type admission struct {
	closed  atomic.Bool
	refused atomic.Uint64

	mu   sync.Mutex // guards loss; taken only while closed, or about to be
	loss loss       // the SYNs kept out since it closed
}

// Admission returns whether a connection may begin at the time now. It is called for every SYN and
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
	a := &l.admission
	if !stuck {
		if a.closed.Load() {
			a.announce(l.writers)
		}
		return flow.Admit
	}
	a.refused.Add(1)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed.Store(true)
	a.loss.reason = record.Suspended
	a.loss.add(now)
	if now.Sub(a.loss.from) < refuseAfter {
		return flow.Wait
	}
	return flow.Refuse
}

// close is for the end of the log.
func (a *admission) close(l *Log) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	a.announce(l.writers)
}

// announce ends a time in which connections were kept out: the log records the number of SYNs.
func (a *admission) announce(writers []*writer) {
	a.mu.Lock()
	kept := a.loss
	a.loss = loss{}
	a.closed.Store(false)
	a.mu.Unlock()
	if kept.n == 0 {
		return
	}
	for _, w := range writers {
		w.enqueue(item{gap: &kept})
	}
}
