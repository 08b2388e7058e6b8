package audit

import (
	"math"
	"time"

	"syntap/cmd/internal/record"
)

// State is the state of a log for another process that hands it records.
type State struct {
	Handshakes, Datagrams           bool   // new connections, or flows without a handshake, have to wait
	GatedHandshakes, GatedDatagrams bool   // they wait for their records
	Records                         bool   // a sink takes them
	Segments                        bool   // a sink writes them
	Owners                          bool   // a sink says whose process a client is
	Waiting                         bool   // there are records that are not written yet
	Room                            int    // handshakes whose records find room
	QueueFull, WriteError           uint64 // records lost, as in LogStats
}

// State returns the state at the time now.
func (l *Log) State(now time.Time) State {
	l.mu.RLock()
	defer l.mu.RUnlock()
	s := State{
		GatedHandshakes: l.gates.handshakes > 0, GatedDatagrams: l.gates.datagrams > 0,
		Records: len(l.writers) > 0, Segments: l.segments.Load(), Room: math.MaxInt32,
		QueueFull: l.retired.queue, WriteError: l.retired.write,
	}
	for _, w := range l.writers {
		flows := w.sink.hasFlows()
		if w.stuck(now) {
			s.Handshakes, s.Datagrams = true, s.Datagrams || flows
		}
		s.Owners = s.Owners || flows
		s.Waiting = s.Waiting || w.progress.waiting.Load() > 0
		s.QueueFull += w.overflow.total.Load()
		s.WriteError += w.sink.lost.Load()
		if !w.gate() {
			continue
		}
		room := w.queue.limit - w.queue.len()
		if w.sink.byPacket {
			room /= perAttempt
		}
		s.Room = min(s.Room, max(room, 0))
	}
	return s
}

// Missed announces records that another process has lost, or SYNs and datagrams that it has kept
// out, as their gap says. That process counts them.
func (l *Log) Missed(g *record.Gap) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	missing := loss{reason: g.Reason, n: g.Refused + g.Lost, from: g.From, to: g.To}
	for _, w := range l.writers {
		w.enqueue(item{gap: &missing})
	}
}
