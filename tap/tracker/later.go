package tracker

import (
	"time"

	"syntap/tap/tcpdump"
	"syntap/tap/tracker/tuple"
	"syntap/tun/packet"
)

// completes reports whether a segment of the client is the third one, or a later one that shows
// that there was one: it acknowledges the server's SYN, and its number is one that the server has
// acknowledged, or that its data may have within the window of the SYN-ACK.
func (h *tracked) completes(p *tuple.Packet) bool {
	if !h.answered || p.Flags&packet.ACK == 0 || !packet.SeqWithin(h.irs, p.Ack, h.sNext) {
		return false
	}
	return packet.SeqWithin(h.iss, p.Seq, h.later.Highest(h.syn())) ||
		p.PayloadLen() > 0 && p.Seq-h.cNext < uint32(h.synack.Window)
}

// onCapturedLocked takes a segment of a capture with neither SYN nor RST, of a flow with a
// handshake.
func (sh *Shard) onCapturedLocked(e *Entry, p *tuple.Packet, seen *tcpdump.Packet, at time.Time) {
	h := e.hs
	switch {
	case !h.fromClient(p) && h.later.Continues(h.syn(), p) && sh.completeByRivalLocked(e):
		return
	case !h.fromClient(p):
		h.serverData(p)
		h.more().FromServer(h.syn(), p)
	case h.completes(p):
		sh.showLocked(h, p, seen, at)
		sh.completeLocked(e, p, at)
		return
	default:
		h.noteOddAck(p)
		h.more().FromClient(h.syn(), p, seen, at)
	}
	if sh.ifThirdLocked(e) {
		sh.onFINLocked(e, p, at)
	}
}

// ifThirdLocked establishes the flow's handshake if a segment that came earlier completes it, now
// that more is known.
func (sh *Shard) ifThirdLocked(e *Entry) bool {
	h := e.hs
	if h.later == nil || h.later.Third == nil {
		return false
	}
	third := h.later.Third.Packet()
	switch {
	case h.completes(third):
	case !h.answered && h.later.Exchanged():
		h.rec.ServerISN, h.rec.ISNFromData = h.later.ServerISN(h.syn())
	default:
		return false
	}
	sh.showLocked(h, third, &h.later.Third.Seen, h.later.Third.At)
	sh.completeLocked(e, third, h.later.Third.At)
	return true
}

// completeLocked establishes the flow's handshake by a segment of the client. Either end may have
// sent its FIN already.
func (sh *Shard) completeLocked(e *Entry, third *tuple.Packet, at time.Time) {
	later := e.hs.later
	sh.establishLocked(e, third, at)
	sh.onFINLocked(e, third, at)
	if later.ServerFIN() {
		sh.closeLocked(e, !third.FromA, at)
	}
}
