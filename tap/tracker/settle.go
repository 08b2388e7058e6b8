package tracker

import (
	"math"
	"time"

	"syntap/tap/handshake"
	"syntap/tap/tracker/tuple"
)

// verdictLocked gives the flow's handshake its verdict. In a capture it settles only when both ends
// have been silent for a while: the segment may be forged, or one of several answers to one
// connect.
func (sh *Shard) verdictLocked(e *Entry, o handshake.Outcome, at time.Time) {
	if sh.t.o.Live || e.hs.tentative {
		sh.EndLocked(e, o, at)
		return
	}
	e.hs.more().Verdict = o
	sh.MoveLocked(e, StateSettling, at)
}

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

// revive takes a verdict back: the handshake has gone on, so no receiver has taken the RST.
func (h *tracked) revive() {
	v := h.verdict()
	if v == handshake.Refused || v == handshake.Aborted {
		h.rec.Conflict |= handshake.ConflictRST
	}
	if v != "" {
		h.later.Verdict, h.rec.AbortedBy = "", ""
	}
}

// verdict returns the verdict on a handshake of a capture that later segments may change; empty if
// there is none yet.
func (h *tracked) verdict() handshake.Outcome {
	if h.later == nil {
		return ""
	}
	return h.later.Verdict
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
