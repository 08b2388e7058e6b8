package evidence

import (
	"time"

	"syntap/tap/handshake"
	"syntap/tap/tcpdump"
	"syntap/tap/tracker/kept"
	"syntap/tap/tracker/tuple"
	"syntap/tun/packet"
)

// Later is the memory of the segments behind those of a captured handshake. The zero value has
// seen none.
type Later struct {
	Verdict handshake.Outcome // which later segments may change; empty while there is none

	SYNACK   *kept.Segment // of a former handshake
	Third    *kept.Segment // the segment of the client with the lowest number that may be the third one
	Crossing *kept.Segment // the last SYN of the server, whose own handshake may be the one that counts
	rivals   rivals

	oddAck    [2]uint32 // the last wrong acknowledgment of the client and of the server
	oddAckSet [2]bool

	acked          uint32  // the highest number beyond the SYN's end that the server has acknowledged
	ackedSet       bool    // there is one
	client, server numbers // of the last segment of each
	first          numbers // of the first segment of the server

	anchored                 bool // a segment continues the SYN at once
	clientKnows, serverKnows bool // an end has acknowledged numbers of the other
	clientData, serverData   bool // it has sent data or FIN
	serverFIN                bool
}

// SYN is the range of numbers that a client's SYN takes: ISS < x <= End.
type SYN struct{ ISS, End uint32 }

// Has reports whether a number continues or acknowledges the SYN.
func (s SYN) Has(x uint32) bool { return packet.SeqWithin(s.ISS, x, s.End) }

// behind reports whether a number comes after ISS.
func (s SYN) behind(x uint32) bool { return x-s.ISS-1 < 1<<31 }

// numbers are those of a segment.
type numbers struct {
	set           bool
	seq, end, ack uint32
}

func numbersOf(p *tuple.Packet) numbers {
	return numbers{set: true, seq: p.Seq, end: p.Seq + p.SeqLen(), ack: p.Ack}
}

// acknowledges reports whether n acknowledges the segment of the other end, or all before it.
func (n *numbers) acknowledges(other *numbers) bool {
	return other.set && (n.ack == other.end || n.ack == other.seq)
}

// FromClient takes a segment of the client that completes nothing yet.
func (t *Later) FromClient(syn SYN, p *tuple.Packet, seen *tcpdump.Packet, at time.Time) {
	if p.Flags&packet.ACK == 0 || !syn.behind(p.Seq) {
		return
	}
	if t.Third == nil || t.Third.Headers.Seq-p.Seq-1 < 1<<31 {
		s := kept.Keep(p, seen, at, 0)
		t.Third = &s
	}
	t.choose(syn, p, seen, at)
	n := numbersOf(p)
	t.anchored = t.anchored || syn.Has(p.Seq)
	t.clientData = t.clientData || n.end != n.seq
	t.clientKnows = t.clientKnows || n.acknowledges(&t.server)
	t.serverKnows = t.serverKnows || t.server.acknowledges(&n)
	t.client = n
}

// FromServer takes a segment of the server.
func (t *Later) FromServer(syn SYN, p *tuple.Packet) {
	if p.Flags&packet.ACK == 0 || !syn.behind(p.Ack) {
		return
	}
	if top := t.Highest(syn); packet.SeqWithin(top, p.Ack, top+1<<31-1) {
		t.acked, t.ackedSet = p.Ack, true
	}
	n := numbersOf(p)
	if !t.first.set {
		t.first = n
	}
	t.anchored = t.anchored || syn.Has(p.Ack)
	t.serverData = t.serverData || n.end != n.seq
	t.serverFIN = t.serverFIN || p.Flags&packet.FIN != 0
	t.serverKnows = t.serverKnows || n.acknowledges(&t.client)
	t.clientKnows = t.clientKnows || t.client.acknowledges(&n)
	t.server = n
}

// Highest returns the client's number up to which the server may have received. t may be nil.
func (t *Later) Highest(syn SYN) uint32 {
	if t == nil || !t.ackedSet {
		return syn.End
	}
	return t.acked
}

// Exchanged reports whether both ends have sent data and acknowledged the other's, so that there
// was a SYN-ACK, though it was not captured.
func (t *Later) Exchanged() bool {
	return t.anchored && t.clientData && t.serverData && t.clientKnows && t.serverKnows
}

// ServerISN returns the number of a SYN-ACK that was not captured. It is told by the first segment
// of the server, if that was sent before the client's first data, or if the client has acknowledged
// nothing before it when it had sent nothing.
func (t *Later) ServerISN(syn SYN) (isn uint32, told bool) {
	third := &t.Third.Headers
	told = syn.Has(t.first.ack) || syn.Has(third.Seq) && third.Ack == t.first.seq
	return t.first.seq - 1, told
}

// ServerFIN reports whether the server has sent FIN. t may be nil.
func (t *Later) ServerFIN() bool { return t != nil && t.serverFIN }

// NoteOddAck keeps the acknowledgment of a segment of an end, 0 for the client and 1 for the
// server, that does not fit.
func (t *Later) NoteOddAck(end int, ack uint32) { t.oddAck[end], t.oddAckSet[end] = ack, true }

// AnswersOddAck reports whether a RST of an end with a number answers a wrong acknowledgment of the
// other end (RFC 9293 §3.10.7): it is no guess. t may be nil.
func (t *Later) AnswersOddAck(end int, seq uint32) bool {
	return t != nil && t.oddAckSet[1-end] && seq == t.oddAck[1-end]
}
