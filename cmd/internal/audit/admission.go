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

// Admission keeps new connections out while records cannot be written. The zero value is ready to
// use.
type Admission struct {
	closed  atomic.Bool
	refused atomic.Uint64

	mu   sync.Mutex // guards loss; taken only while closed, or about to be
	loss loss       // the SYNs and datagrams kept out since it closed
}

// Decide returns whether a connection may begin at the time now. stuck means that records cannot be
// written, concerned that this connection's cannot. Afterwards announce gets the number of
// connections that were kept out.
func (a *Admission) Decide(
	now time.Time, stuck, concerned bool, announce func(kept *record.Gap),
) flow.Admission {
	if !stuck && a.closed.Load() {
		a.Announce(announce)
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

// Announce ends a time in which connections were kept out: the log records the number of SYNs and
// datagrams.
func (a *Admission) Announce(announce func(kept *record.Gap)) {
	a.mu.Lock()
	kept := a.loss
	a.loss = loss{}
	a.closed.Store(false)
	a.mu.Unlock()
	if kept.n > 0 {
		g := kept.gap(time.Time{})
		announce(&g)
	}
}

// Refused returns how many SYNs and datagrams were kept out.
func (a *Admission) Refused() uint64 { return a.refused.Load() }

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
	return l.admission.Decide(now, stuck, concerned, l.announce)
}

// announce writes to the log that records are missing. mu is held for reading.
func (l *Log) announce(g *record.Gap) {
	missing := loss{reason: g.Reason, n: g.Refused + g.Lost, from: g.From, to: g.To}
	for _, w := range l.writers {
		w.enqueue(item{gap: &missing})
	}
}
