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
	loss loss       // the SYNs and datagrams kept out since it closed
}

// Admission returns whether a connection may begin at the time now. It is called for every SYN and
// costs a few loads.
func (l *Log) Admission(now time.Time) flow.Admission { return l.admit(now, false) }

// DatagramAdmission returns whether a flow without a handshake may begin at the time now. Sinks
// without records of datagrams keep none out.
func (l *Log) DatagramAdmission(now time.Time) flow.Admission { return l.admit(now, true) }

func (l *Log) admit(now time.Time, datagram bool) flow.Admission {
	l.mu.RLock()
	defer l.mu.RUnlock()
	stuck, concerned, open := false, false, 0
	if f := l.opened.Load(); f != nil {
		open = (*f)()
	}
	for _, w := range l.writers {
		if w.stuck(now, open) {
			stuck, concerned = true, concerned || !datagram || w.sink.hasFlows()
		}
	}
	a := &l.admission
	if !stuck && a.closed.Load() {
		a.announce(l.writers)
	}
	if !concerned {
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

// announce ends a time in which connections were kept out: the log records the number of
// SYNs and datagrams.
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
