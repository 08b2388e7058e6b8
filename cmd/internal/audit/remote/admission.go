//go:build linux

package remote

import (
	"sync"
	"sync/atomic"
	"time"

	"syntap/cmd/internal/record"
	"syntap/cmd/internal/record/compact"
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

// CountOpen makes admission keep room for the number of records that f returns: the handshakes and
// datagrams that have begun and have no record yet. Admission calls f, which must not block.
func (l *Log) CountOpen(f func() int) { l.opened.Store(&f) }

// Admission returns whether a connection may begin at the time now. It is called for every SYN.
func (l *Log) Admission(now time.Time) flow.Admission {
	s := l.state()
	stuck := s&handshakesWait != 0 || s&handshakesGated != 0 && l.full(now)
	return l.admission.decide(now, stuck, stuck, l.announce)
}

// DatagramAdmission returns whether a flow without a handshake may begin at the time now. Sinks
// without records of datagrams keep none out.
func (l *Log) DatagramAdmission(now time.Time) flow.Admission {
	s := l.state()
	full := s&handshakesGated != 0 && l.full(now)
	stuck := s&handshakesWait != 0 || full
	return l.admission.decide(now, stuck, s&datagramsWait != 0 || full && s&datagramsGated != 0, l.announce)
}

// slow is how long the keeper may take nothing while there is something.
const slow = time.Second

// full reports whether the keeper does not read, or has no room for all that is on its way or has
// yet to come.
func (l *Log) full(now time.Time) bool {
	open := 0
	if f := l.opened.Load(); f != nil {
		open = (*f)()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	taken := l.end.Posted(takenWord)
	if taken != l.taken {
		l.taken, l.moved = taken, now
	}
	onTheirWay := l.messages - taken
	late := onTheirWay > 0 && now.Sub(l.moved) > slow
	if late && l.end.Ring() { // this process has stood still, and the keeper does not know of them
		l.moved, late = now, false
	}
	return late || uint64(open)+onTheirWay >= l.end.Posted(roomWord)
}

func (l *Log) announce(kept *record.Gap) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.put(&compact.Item{Gap: kept})
}
