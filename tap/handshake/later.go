package handshake

import (
	"time"

	"syntap/tap/tcpdump"
	"syntap/tun/packet"
)

// later is the memory of a captured handshake besides its segments: of those behind it, which tell
// about it where some of its own are missing.
type later struct {
	verdict Outcome // which later segments may change; empty while there is none

	oddAck    [2]uint32 // the last wrong acknowledgment of the client and of the server
	oddAckSet [2]bool

	synack *held // of a former handshake
	third  *held // the segment of the client with the lowest number that may be the third one

	acked          uint32  // the highest number beyond cEnd that the server has acknowledged
	ackedSet       bool    // there is one
	client, server numbers // of the last segment of each
	first          numbers // of the first segment of the server

	anchored                 bool // a segment continues the SYN at once
	clientKnows, serverKnows bool // an end has acknowledged numbers of the other
	clientData, serverData   bool // it has sent data or FIN
	serverFIN                bool
}

// numbers are those of a segment.
type numbers struct {
	set           bool
	seq, end, ack uint32
}

func numbersOf(p *Packet) numbers {
	return numbers{set: true, seq: p.Seq, end: p.Seq + p.length(), ack: p.Ack}
}

// acknowledges reports whether n acknowledges the segment of the other end, or all before it.
func (n *numbers) acknowledges(other *numbers) bool {
	return other.set && (n.ack == other.end || n.ack == other.seq)
}

// more returns the handshake's memory of a capture.
func (h *handshake) more() *later {
	if h.later == nil {
		h.later = new(later)
	}
	return h.later
}

// fromClient takes a segment of the client that completes nothing yet.
func (t *later) fromClient(h *handshake, p *Packet, seen *tcpdump.Packet, at time.Time) {
	if p.Flags&packet.ACK == 0 || p.Seq-h.iss-1 >= 1<<31 {
		return
	}
	if t.third == nil || t.third.headers.Seq-p.Seq-1 < 1<<31 {
		s := hold(p, seen, at, 0)
		t.third = &s
	}
	n := numbersOf(p)
	t.anchored = t.anchored || within(h.iss, p.Seq, h.cEnd)
	t.clientData = t.clientData || n.end != n.seq
	t.clientKnows = t.clientKnows || n.acknowledges(&t.server)
	t.serverKnows = t.serverKnows || t.server.acknowledges(&n)
	t.client = n
}

// fromServer takes a segment of the server.
func (t *later) fromServer(h *handshake, p *Packet) {
	if p.Flags&packet.ACK == 0 || p.Ack-h.iss-1 >= 1<<31 {
		return
	}
	if top := t.highest(h); within(top, p.Ack, top+1<<31-1) {
		t.acked, t.ackedSet = p.Ack, true
	}
	n := numbersOf(p)
	if !t.first.set {
		t.first = n
	}
	t.anchored = t.anchored || within(h.iss, p.Ack, h.cEnd)
	t.serverData = t.serverData || n.end != n.seq
	t.serverFIN = t.serverFIN || p.Flags&packet.FIN != 0
	t.serverKnows = t.serverKnows || n.acknowledges(&t.client)
	t.clientKnows = t.clientKnows || t.client.acknowledges(&n)
	t.server = n
}

// highest returns the client's number up to which the server may have received.
func (t *later) highest(h *handshake) uint32 {
	if t == nil || !t.ackedSet {
		return h.cEnd
	}
	return t.acked
}

// exchanged reports whether both ends have sent data and acknowledged the other's, so that there
// was a SYN-ACK, though it was not captured.
func (t *later) exchanged() bool {
	return t.anchored && t.clientData && t.serverData && t.clientKnows && t.serverKnows
}

// serverISN returns the number of a SYN-ACK that was not captured. It is told by the first segment
// of the server, if that was sent before the client's first data, or if the client has acknowledged
// nothing before it when it had sent nothing.
func (t *later) serverISN(h *handshake) (isn uint32, told bool) {
	third := &t.third.headers
	told = within(h.iss, t.first.ack, h.cEnd) ||
		within(h.iss, third.Seq, h.cEnd) && third.Ack == t.first.seq
	return t.first.seq - 1, told
}

// completes reports whether a segment of the client is the third one, or a later one that shows
// that there was one: it acknowledges the server's SYN, and its number is one that the server has
// acknowledged, or that its data may have within the window of the SYN-ACK.
func (h *handshake) completes(p *Packet) bool {
	if !h.answered || p.Flags&packet.ACK == 0 || !within(h.irs, p.Ack, h.sNext) {
		return false
	}
	return within(h.iss, p.Seq, h.later.highest(h)) ||
		p.PayloadLen() > 0 && p.Seq-h.cNext < uint32(h.synack.Window)
}

// onCapturedLocked takes a segment of a capture with neither SYN nor RST, of a flow with a
// handshake.
func (sh *Shard) onCapturedLocked(e *Entry, p *Packet, seen *tcpdump.Packet, at time.Time) {
	h := e.hs
	switch {
	case !h.fromClient(p):
		h.serverData(p)
		h.more().fromServer(h, p)
	case h.completes(p):
		sh.showLocked(h, p, seen, at)
		sh.completeLocked(e, p, at)
		return
	default:
		h.noteOddAck(p)
		h.more().fromClient(h, p, seen, at)
	}
	if sh.ifThirdLocked(e) {
		sh.onFINLocked(e, p, at)
	}
}

// ifThirdLocked establishes the flow's handshake if a segment that came earlier completes it, now
// that more is known.
func (sh *Shard) ifThirdLocked(e *Entry) bool {
	h := e.hs
	if h.later == nil || h.later.third == nil {
		return false
	}
	third := h.later.third.segment()
	switch {
	case h.completes(third):
	case !h.answered && h.later.exchanged():
		h.rec.ServerISN, h.rec.ISNFromData = h.later.serverISN(h)
	default:
		return false
	}
	sh.showLocked(h, third, &h.later.third.seen, h.later.third.at)
	sh.completeLocked(e, third, h.later.third.at)
	return true
}

// completeLocked establishes the flow's handshake by a segment of the client. Either end may have
// sent its FIN already.
func (sh *Shard) completeLocked(e *Entry, third *Packet, at time.Time) {
	later := e.hs.later
	sh.establishLocked(e, third, at)
	sh.onFINLocked(e, third, at)
	if later != nil && later.serverFIN {
		sh.closeLocked(e, !third.FromA, at)
	}
}
