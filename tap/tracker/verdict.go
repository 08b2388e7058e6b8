package tracker

import (
	"time"

	"syntap/tap/handshake"
	"syntap/tap/tcpdump"
	"syntap/tap/tracker/tuple"
	"syntap/tun/packet"
)

// beginLocked makes h the flow's handshake.
func (sh *Shard) beginLocked(e *Entry, h *tracked, at time.Time) {
	h.serial = sh.t.serial.Add(1)
	e.hs, e.challenged = h, nil
	if !h.tentative {
		e.gone = false
	}
	sh.MoveLocked(e, StateSYNSent, at)
}

// evictLocked ends the oldest handshake if another one has no place: one that has a verdict, if
// there is any.
func (sh *Shard) evictLocked(at time.Time) {
	t := sh.t
	if t.o.HalfOpen < 0 || t.HalfOpen()+t.Count(StateSettling) < t.o.HalfOpen {
		return
	}
	if e := sh.lists[StateSettling].first; e != nil {
		t.hurried.Add(1)
		sh.EndLocked(e, e.hs.verdict(), at)
		return
	}
	oldest := sh.lists[StateSYNSent].first
	answered := sh.lists[StateSYNReceived].first
	if oldest == nil || answered != nil && answered.hs.serial < oldest.hs.serial {
		oldest = answered
	}
	if oldest != nil {
		t.evicted.Add(1)
		sh.EndLocked(oldest, oldest.hs.unanswered(), at)
	}
}

// TakeChallengedLocked makes the challenged SYN the flow's handshake, which ends the first one.
func (sh *Shard) TakeChallengedLocked(e *Entry, at time.Time) {
	if e.hs != nil {
		sh.supersedeLocked(e, e.challenged, at)
	} else {
		sh.beginLocked(e, e.challenged, at)
	}
	sh.confirmLocked(e.hs)
}

// ConfirmLocked turns the flow's handshake, if it is tentative, into one like any other: the server
// has forgotten the connection, or the first handshake, underneath.
func (sh *Shard) ConfirmLocked(e *Entry) { sh.confirmLocked(e.hs) }

func (sh *Shard) confirmLocked(h *tracked) {
	if !h.tentative {
		return
	}
	h.tentative = false
	for i := range h.rec.Segments {
		sh.emitLocked(h, h.rec.Segments[i])
	}
}

// ifBothAckedLocked establishes a simultaneous open when each SYN is acknowledged.
func (sh *Shard) ifBothAckedLocked(e *Entry, at time.Time) {
	if e.hs.ackedClient && e.hs.ackedServer {
		sh.establishLocked(e, nil, at)
	}
}

// establishLocked ends the flow's handshake by the segment third of the client; nil if there is
// none, in a simultaneous open.
func (sh *Shard) establishLocked(e *Entry, third *tuple.Packet, at time.Time) {
	h := e.hs
	sh.confirmLocked(h)
	h.revive()
	// A repeated SYN-ACK makes the time ambiguous (Karn, RFC 6298 §3), and a later segment than the
	// third says nothing of it.
	if h.answered && h.rec.SYNACKRetransmits == 0 && (third == nil || third.Seq == h.cNext) {
		h.rec.ACKDelay = at.Sub(h.synackTime)
	}
	e.closed, e.challenged = 0, nil
	sh.EndLocked(e, handshake.Established, at)
}

// showLastLocked adds the segment that ends the handshake.
func (sh *Shard) showLastLocked(e *Entry, p *tuple.Packet, seen *tcpdump.Packet, at time.Time,
	o handshake.Outcome,
) {
	sh.showLocked(e.hs, p, seen, at)
	sh.verdictLocked(e, o, at)
}

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

// onFINLocked forgets a connection when both ends have sent FIN.
func (sh *Shard) onFINLocked(e *Entry, p *tuple.Packet, at time.Time) {
	if p.Flags&packet.FIN != 0 {
		sh.closeLocked(e, p.FromA, at)
	}
}

// closeLocked notes the FIN of an end.
func (sh *Shard) closeLocked(e *Entry, endA bool, at time.Time) {
	if endA {
		e.closed |= 1
	} else {
		e.closed |= 2
	}
	if e.closed == 3 && e.state == StateEstablished {
		sh.MoveLocked(e, StateNone, at)
	}
}

// EndLocked ends the flow's handshake with its verdict.
func (sh *Shard) EndLocked(e *Entry, o handshake.Outcome, at time.Time) {
	if o == handshake.HalfOpen && sh.completeByRivalLocked(e) {
		return
	}
	h := e.hs
	e.hs = nil
	switch {
	case h.tentative:
		if h.own { // it is a handshake nevertheless
			h.tentative = false
			sh.recordLocked(h, handshake.NoReply)
		}
		if e.gone {
			sh.MoveLocked(e, StateNone, at)
		} else { // no answer: the connection underneath lives on
			sh.MoveLocked(e, StateEstablished, at)
		}
		return
	case e.past != nil:
		sh.endWithFormersLocked(e, h, o)
	default:
		sh.recordLocked(h, o)
	}
	e.outcome, e.iss = o.Code(), h.iss
	if o == handshake.Established {
		sh.MoveLocked(e, StateEstablished, at)
	} else {
		sh.MoveLocked(e, sh.t.o.Linger(e, o), at)
	}
}

// ExpireHandshakeLocked ends the flow's handshake as half_open or no_reply.
func (sh *Shard) ExpireHandshakeLocked(e *Entry, at time.Time) {
	sh.EndLocked(e, e.hs.unanswered(), at)
}

// recordLocked hands out the record of a handshake, unless its SYN has one that says the same, or
// has got no SYN-ACK since: the first verdict stands.
func (sh *Shard) recordLocked(h *tracked, o handshake.Outcome) {
	code := o.Code()
	if h.tentative || h.recorded != 0 && (code == h.recorded || !h.answered && !h.crossed) {
		return
	}
	h.rec.Outcome = o
	if o != handshake.Established {
		h.rec.Conflict = 0
	}
	sh.t.handshakes[code-1].Add(1)
	if sh.t.o.OnRecord != nil {
		sh.events = append(sh.events, event{key: h.rec.Key(), record: &h.rec})
	}
}

// showLocked adds a segment to the record.
func (sh *Shard) showLocked(h *tracked, p *tuple.Packet, seen *tcpdump.Packet, at time.Time) {
	if shown := h.show(p, seen, at); shown != nil && !h.tentative {
		sh.emitLocked(h, *shown)
	}
}

func (sh *Shard) emitLocked(h *tracked, shown handshake.Segment) {
	if sh.t.o.OnSegment != nil {
		sh.events = append(sh.events, event{key: h.rec.Key(), segment: shown})
	}
}
