package remote

import (
	"sync"
	"sync/atomic"
	"time"

	"syntap/cmd/internal/record"
	"syntap/tun/flow"
)

// refuseAfter is how long new connections wait before they are refused.
const refuseAfter = 3 * time.Second

// admission keeps new connections out while records cannot be written. The zero value is ready to
// use.
type admission struct {
	closed  atomic.Bool
	refused atomic.Uint64 // SYNs and datagrams in all

	mu   sync.Mutex // guards kept; taken only while closed, or about to be
	kept record.Gap // the SYNs and datagrams kept out since it closed
}

// decide returns whether a connection may begin at the time now. stuck means that records cannot be
// written, concerned that this connection's cannot. Afterwards announce gets the number of
// connections that were kept out.
func (a *admission) decide(
	now time.Time, stuck, concerned bool, announce func(kept *record.Gap),
) flow.Admission {
	if !stuck && a.closed.Load() {
		a.announce(announce)
	}
	if !concerned {
		return flow.Admit
	}
	a.refused.Add(1)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed.Store(true)
	if a.kept.Refused == 0 {
		a.kept = record.Gap{Reason: record.Suspended, From: now, To: now}
	}
	if now.After(a.kept.To) {
		a.kept.To = now
	}
	a.kept.Refused++
	if now.Sub(a.kept.From) < refuseAfter {
		return flow.Wait
	}
	return flow.Refuse
}

// announce ends a time in which connections were kept out: the log records the number of SYNs and
// datagrams.
func (a *admission) announce(announce func(kept *record.Gap)) {
	a.mu.Lock()
	kept := a.kept
	a.kept = record.Gap{}
	a.closed.Store(false)
	a.mu.Unlock()
	if kept.Refused > 0 {
		announce(&kept)
	}
}
