package tracker

import (
	"time"

	"syntap/tap/handshake"
	"syntap/tap/tcpdump"
	"syntap/tap/tracker/kept"
	"syntap/tap/tracker/tuple"
	"syntap/tun/packet"
)

// TrackLocked takes a TCP segment of the flow e, which is nil if it is not in the table. It returns
// the flow's entry afterwards, and whether the segment is acceptable: it is not if its sender is
// the client of a handshake and it is no third segment.
func (sh *Shard) TrackLocked(e *Entry, p *tuple.Packet, seen *tcpdump.Packet, at time.Time) (
	entry *Entry, acceptable bool,
) {
	if e != nil && e.answersChallenged(p) {
		sh.TakeChallengedLocked(e, at)
	}
	if e != nil && e.hs != nil && e.hs.fromClient(p) && e.hs.later.AnswersCrossing(e.hs.syn(), p) {
		sh.turnLocked(e, at)
	}
	switch {
	case p.Flags&packet.RST != 0:
		if e != nil {
			sh.onRSTLocked(e, p, seen, at)
		}
	case p.Flags&(packet.SYN|packet.ACK) == packet.SYN:
		e = sh.onSYNLocked(e, p, seen, at)
	case p.Flags&packet.SYN != 0:
		if e != nil && e.hs != nil {
			sh.onSYNACKLocked(e, p, seen, at)
		}
	case e != nil:
		return e, sh.onOtherLocked(e, p, seen, at)
	}
	return e, true
}

// onSYNLocked takes a SYN without ACK.
func (sh *Shard) onSYNLocked(e *Entry, p *tuple.Packet, seen *tcpdump.Packet, at time.Time) *Entry {
	switch {
	case e != nil && e.hs != nil:
		return sh.onNextSYNLocked(e, p, seen, at)
	case !sh.t.o.Live && e != nil && e.Established(p.Seq):
		return e // an old duplicate
	}
	if e == nil || !e.state.Counted() {
		sh.evictLocked(at)
	}
	if e != nil && e.state == StateNone { // which the evicted one has pushed out of the table
		e = nil
	}
	h := newTracked(p, seen, at)
	switch {
	case e == nil:
		e = sh.newLocked(p)
	case e.state == StateEstablished: // RFC 9293 §3.10.7.4: the peer answers with a challenge ACK
		h.tentative = true
	case e.Challenged(p.Seq):
		h = e.challenged
		h.repeatSYN(p, seen)
		sh.confirmLocked(h)
	case e.HasRecord(p.Seq):
		h.recorded = e.outcome
	}
	sh.beginLocked(e, h, at)
	sh.showLocked(h, p, seen, at)
	return e
}

// onNextSYNLocked takes a SYN on a flow with a handshake.
func (sh *Shard) onNextSYNLocked(e *Entry, p *tuple.Packet, seen *tcpdump.Packet,
	at time.Time,
) *Entry {
	switch h := e.hs; {
	case !h.fromClient(p) && h.verdict() != "": // the ends have changed their roles
		sh.EndLocked(e, h.verdict(), at)
		if e.state == StateNone {
			e = nil
		}
		return sh.onSYNLocked(e, p, seen, at)
	case !h.fromClient(p):
		h.cross(p, seen)
		sh.showLocked(h, p, seen, at)
		if !sh.t.o.Live {
			s := kept.Keep(p, seen, at, 0)
			h.more().Crossing = &s
		}
	case p.Seq == h.iss:
		h.repeatSYN(p, seen)
		sh.showLocked(h, p, seen, at)
		if h.verdict() != "" {
			sh.MoveLocked(e, StateSettling, at) // as late as the last segment has it
		}
	case h.answered && h.verdict() == "":
		e.challenge(p, seen, at)
	default: // another number: the client has given the first one up
		if sh.evictLocked(at); e.hs != h { // this one has left for the next
			return sh.onSYNLocked(sh.flows[p.Flow], p, seen, at)
		}
		next := sh.takeFormerLocked(e, p, seen)
		challenged := next == nil && e.Challenged(p.Seq)
		switch {
		case challenged:
			next = e.challenged
			next.repeatSYN(p, seen)
		case next == nil:
			next = newTracked(p, seen, at)
		}
		sh.supersedeLocked(e, next, at)
		if challenged {
			sh.confirmLocked(next)
		}
		sh.showLocked(next, p, seen, at)
	}
	return e
}

// onSYNACKLocked takes a segment with SYN and ACK on a flow with a handshake.
func (sh *Shard) onSYNACKLocked(e *Entry, p *tuple.Packet, seen *tcpdump.Packet, at time.Time) {
	h := e.hs
	fromClient := h.fromClient(p)
	if fromClient || !h.acksClient(p) {
		// RFC 9293 §3.10.7.3: a client answers a wrong ACK with RST and stays in SYN-SENT.
		h.noteOddAck(p)
		sh.showLocked(h, p, seen, at)
		if fromClient && h.crossed && h.acksServer(p) {
			h.ackedServer = true
			sh.ifBothAckedLocked(e, at)
		}
		return
	}
	sh.confirmLocked(h)
	switch {
	case h.verdict() != "": // which stands unless the third segment comes
		sh.MoveLocked(e, StateSettling, at)
	case !h.answered:
		sh.MoveLocked(e, StateSYNReceived, at)
	}
	if !sh.t.o.Live && h.answered && p.Seq != h.irs {
		h.more().AddSYNACK(p, seen, at)
	}
	h.answer(p, seen, at)
	sh.showLocked(h, p, seen, at)
	h.ackedClient = true
	sh.ifBothAckedLocked(e, at)
	if e.hs == h {
		sh.ifThirdLocked(e)
	}
}

// onOtherLocked takes a segment with neither SYN nor RST, and reports whether it is acceptable.
func (sh *Shard) onOtherLocked(e *Entry, p *tuple.Packet, seen *tcpdump.Packet, at time.Time) bool {
	h := e.hs
	if h == nil {
		if e.state == StateEstablished {
			sh.onFINLocked(e, p, at)
		}
		return true
	}
	fromClient := h.fromClient(p)
	switch {
	case h.tentative: // a segment of the connection underneath
	case h.crossed && fromClient && !h.ackedServer && h.acksServer(p):
		h.ackedServer = true
		sh.showLocked(h, p, seen, at)
		sh.ifBothAckedLocked(e, at)
	case h.crossed && !fromClient && !h.ackedClient && h.acksClient(p):
		h.ackedClient = true
		sh.showLocked(h, p, seen, at)
		sh.ifBothAckedLocked(e, at)
	case !sh.t.o.Live && !h.crossed:
		sh.onCapturedLocked(e, p, seen, at)
	case !fromClient && h.answered:
		h.serverData(p)
	case fromClient && h.answered && !h.crossed && h.acksServer(p):
		sh.showLocked(h, p, seen, at)
		sh.establishLocked(e, p, at)
		sh.onFINLocked(e, p, at)
	default:
		return !fromClient
	}
	return true
}

// onRSTLocked takes a RST. One that is not exact is a guess (RFC 5961 §3).
func (sh *Shard) onRSTLocked(e *Entry, p *tuple.Packet, seen *tcpdump.Packet, at time.Time) {
	switch h := e.hs; {
	case h == nil:
		if e.state == StateEstablished {
			sh.MoveLocked(e, StateNone, at)
		}
	case h.tentative && !h.acksClient(p): // it ends the connection underneath
		e.gone = true
		sh.EndLocked(e, handshake.NoReply, at)
	case h.verdict() != "":
		if !h.fromClient(p) && h.acksClient(p) && !h.answered {
			sh.showLocked(h, p, seen, at)
			sh.answerAgainLocked(e, at)
		}
	case h.fromClient(p) && p.Seq == h.resetNumber():
		h.rec.AbortedBy = handshake.Client
		sh.showLastLocked(e, p, seen, at, handshake.Aborted)
	case !h.fromClient(p) && (h.answered || h.crossed) && (p.Seq == h.sEnd || p.Seq == h.sNext):
		h.rec.AbortedBy = handshake.Server
		sh.showLastLocked(e, p, seen, at, handshake.Aborted)
	case !h.fromClient(p) && !h.answered && !h.crossed && h.acksClient(p): // RFC 9293 §3.10.7.3
		sh.confirmLocked(h)
		sh.showLastLocked(e, p, seen, at, handshake.Refused)
	case !h.later.AnswersOddAck(h.side(p), p.Seq):
		h.rec.Conflict |= handshake.ConflictRST
	}
}
