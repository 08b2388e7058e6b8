package handshake

import (
	"math"
	"time"
)

// verdictLocked gives the flow's handshake its verdict. In a capture it settles only when both ends
// have been silent for a while: the segment may be forged, or one of several answers to one
// connect.
func (sh *Shard) verdictLocked(e *Entry, o Outcome, at time.Time) {
	if sh.t.o.Live || e.hs.tentative {
		sh.EndLocked(e, o, at)
		return
	}
	e.hs.more().verdict = o
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
func (h *handshake) revive() {
	v := h.verdict()
	if v == Refused || v == Aborted {
		h.rec.Conflict |= ConflictRST
	}
	if v != "" {
		h.later.verdict, h.rec.AbortedBy = "", ""
	}
}

// verdict returns the verdict on a handshake of a capture that later segments may change; empty if
// there is none yet.
func (h *handshake) verdict() Outcome {
	if h.later == nil {
		return ""
	}
	return h.later.verdict
}

// noteOddAck keeps the acknowledgment of a segment that does not fit.
func (h *handshake) noteOddAck(p *Packet) {
	m := h.more()
	m.oddAck[h.side(p)], m.oddAckSet[h.side(p)] = p.Ack, true
}

// answersOddAck reports whether a RST answers a wrong acknowledgment of the other end, with that
// for its number (RFC 9293 §3.10.7): it is no guess.
func (h *handshake) answersOddAck(p *Packet) bool {
	i := 1 - h.side(p)
	return h.later != nil && h.later.oddAckSet[i] && p.Seq == h.later.oddAck[i]
}

// side is 0 for the client, 1 for the server.
func (h *handshake) side(p *Packet) int {
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
