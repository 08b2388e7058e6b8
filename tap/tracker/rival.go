package tracker

import (
	"slices"
	"time"

	"syntap/tap/handshake"
	"syntap/tap/tracker/tuple"
)

// turnLocked makes the SYN of the server the flow's handshake, whose client it is. The present one
// goes on beside it.
func (sh *Shard) turnLocked(e *Entry, at time.Time) {
	h, s := e.hs, e.hs.later.Crossing
	h.later.Crossing = nil
	if h.crossed && !h.answered {
		h.uncross()
		h.rec.SYNACK, h.rec.ServerISN = nil, 0
		isServers := func(g handshake.Segment) bool { return !g.FromClient }
		h.rec.Segments = slices.DeleteFunc(h.rec.Segments, isServers)
	}
	next := newTracked(s.Packet(), &s.Seen, s.At)
	sh.supersedeLocked(e, next, at)
	next.show(s.Packet(), &s.Seen, s.At) // handed out already
}

// isCrossing reports whether a packet is the SYN of the server.
func (h *tracked) isCrossing(p *tuple.Packet) bool {
	return h.later != nil && h.later.Crossing != nil && !h.fromClient(p) &&
		h.later.Crossing.Headers.Seq == p.Seq
}

// completeByRivalLocked establishes the flow's handshake by the SYN-ACK that the client has
// acknowledged in place of the first. It reports false if there is none.
func (sh *Shard) completeByRivalLocked(e *Entry) bool {
	h := e.hs
	synack, third := h.later.Chosen()
	if synack == nil {
		return false
	}
	h.answered, h.rec.SYNACKRetransmits = false, 0
	h.answer(synack.Packet(), &synack.Seen, synack.At)
	sh.showLocked(h, third.Packet(), &third.Seen, third.At)
	sh.completeLocked(e, third.Packet(), third.At)
	return true
}
