package tracker

import (
	"math"
	"time"

	"syntap/tap/tracker/tuple"
)

// answerAgainLocked counts an answer to a SYN that has one.
func (sh *Shard) answerAgainLocked(e *Entry, at time.Time) {
	count(&e.hs.rec.Answers)
	sh.MoveLocked(e, StateSettling, at)
}

// settleDueLocked ends handshakes of a capture whose verdicts nothing has changed in time. Captures
// have no timers.
func (sh *Shard) settleDueLocked(at time.Time) {
	for e := sh.lists[StateSettling].first; e != nil && at.After(e.deadline); {
		sh.settleLocked(e, at)
		e = sh.lists[StateSettling].first
	}
}

// settleLocked ends the flow's handshake with the verdict that it has, and forgets the flow.
func (sh *Shard) settleLocked(e *Entry, at time.Time) {
	sh.EndLocked(e, e.hs.verdict(), at)
	if e.state != StateNone {
		sh.MoveLocked(e, StateNone, at)
	}
}

// Settle ends each handshake of a capture that has a verdict, though it might still change: nothing
// comes for the time being. Answers that come all the same make no second record.
func (t *Tracker) Settle() {
	for i := range t.shards {
		sh := &t.shards[i]
		sh.Lock()
		for e := sh.lists[StateSettling].first; e != nil; e = sh.lists[StateSettling].first {
			sh.EndLocked(e, e.hs.verdict(), e.deadline.Add(-t.limits.Lifetime[StateSettling]))
		}
		sh.Unlock()
	}
}

// noteOddAck keeps the acknowledgment of a segment that does not fit.
func (h *tracked) noteOddAck(p *tuple.Packet) { h.more().NoteOddAck(h.side(p), p.Ack) }

// side is 0 for the client, 1 for the server.
func (h *tracked) side(p *tuple.Packet) int {
	if h.fromClient(p) {
		return 0
	}
	return 1
}

// count adds 1 to a number of a record, which stops at its largest value.
func count(n *uint16) {
	if *n < math.MaxUint16 {
		*n++
	}
}
