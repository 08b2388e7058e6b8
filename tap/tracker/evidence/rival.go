package evidence

import (
	"slices"
	"time"

	"syntap/tap/tcpdump"
	"syntap/tap/tracker/kept"
	"syntap/tap/tracker/tuple"
	"syntap/tun/packet"
)

// A capture may have a forged SYN of the server or a forged SYN-ACK ahead of the real one, and
// servers with SYN cookies choose another number each time. The segments behind them tell which one
// counts.

// maxSYNACKs bounds the SYN-ACKs with other numbers of one handshake.
const maxSYNACKs = 16

// rivals are segments that may count in place of the first of their kind.
type rivals struct {
	synacks []kept.Segment // acceptable ones with other numbers than the first, the last maxSYNACKs
	chosen  *kept.Segment  // that of them which the client has acknowledged; nil = none
	third   *kept.Segment  // with chosen: the segment that acknowledges it
}

// AddSYNACK keeps an acceptable SYN-ACK with another number than the first.
func (t *Later) AddSYNACK(p *tuple.Packet, seen *tcpdump.Packet, at time.Time) {
	if len(t.rivals.synacks) == maxSYNACKs {
		t.rivals.synacks = slices.Delete(t.rivals.synacks, 0, 1)
	}
	t.rivals.synacks = append(t.rivals.synacks, kept.Keep(p, seen, at, 0))
}

// choose takes a segment of the client, which may be the third one after another SYN-ACK than the
// first: the client may not have taken that.
func (t *Later) choose(syn SYN, p *tuple.Packet, seen *tcpdump.Packet, at time.Time) {
	for i := range t.rivals.synacks {
		synack := t.rivals.synacks[i]
		if syn.Has(p.Seq) && packet.SeqWithin(synack.Headers.Seq, p.Ack, endOf(&synack)) {
			third := kept.Keep(p, seen, at, 0)
			t.rivals.chosen, t.rivals.third = &synack, &third
		}
	}
}

// Chosen returns the SYN-ACK that the client has acknowledged in place of the first, and the
// segment that does; nil if there is none. t may be nil.
func (t *Later) Chosen() (synack, third *kept.Segment) {
	if t == nil {
		return nil, nil
	}
	return t.rivals.chosen, t.rivals.third
}

// Continues reports whether a segment of the server follows the SYN-ACK that Chosen returns. t may
// be nil.
func (t *Later) Continues(syn SYN, p *tuple.Packet) bool {
	const near = 1 << 16 // bytes
	if synack, _ := t.Chosen(); synack != nil && p.Flags&packet.ACK != 0 {
		isn := synack.Headers.Seq
		return packet.SeqWithin(isn, p.Seq, isn+near) && packet.SeqWithin(syn.ISS, p.Ack, syn.End+near)
	}
	return false
}

// AnswersCrossing reports whether a segment of the client answers the SYN of the server and is no
// part of a simultaneous open: there its SYN-ACK would have the number of its SYN, and its RST the
// next one. t may be nil.
func (t *Later) AnswersCrossing(syn SYN, p *tuple.Packet) bool {
	if t == nil || t.Crossing == nil || p.Flags&packet.ACK == 0 ||
		!packet.SeqWithin(t.Crossing.Headers.Seq, p.Ack, endOf(t.Crossing)) {
		return false
	}
	return p.Flags&packet.RST != 0 && p.Seq != syn.ISS+1 ||
		p.Flags&(packet.SYN|packet.RST) == packet.SYN && p.Seq != syn.ISS
}

// endOf returns the number behind a segment.
func endOf(s *kept.Segment) uint32 { return s.Headers.Seq + s.Packet().SeqLen() }
