package tap

import (
	"math"
	"slices"
	"time"

	"syntap/tap/tcpdump"
	"syntap/tun/flow"
	"syntap/tun/packet"
)

// Bounds of what one attempt keeps, however often its segments are repeated.
const (
	maxSegments = 64  // shown segments
	maxHeaders  = 512 // bytes of one shown segment; live all headers lie in the first tun.HeadSize
)

// attempt is one try to open a connection and the memory of its record, so that both are one
// allocation.
type attempt struct {
	rec    Record
	serial uint64 // orders attempts by their first SYN

	clientIsA bool // the client is end a of the key; live it always is

	// Sequence numbers, with the names of the rules in doc.go.
	iss, cEnd, cNext uint32 // cNext is valid iff answered
	irs, sEnd, sNext uint32 // valid iff answered or crossed

	answered    bool // an acceptable SYN-ACK has passed
	crossed     bool // a SYN of the server has passed: simultaneous open
	ackedClient bool // the server has acknowledged the client's SYN
	ackedServer bool // with crossed: the client has acknowledged the server's SYN

	tentative bool    // the flow is established: the SYN counts only if it is answered as a new one
	used      uint16  // bytes that hold headers
	recorded  Outcome // the same SYN has this record already

	synackTime time.Time // of the first acceptable SYN-ACK

	synack   Offer
	options  [2]offerOptions // of the SYN and of the SYN-ACK
	upstream flow.Upstream
	segments [4]Segment
	bytes    [232]byte // headers of the segments: as many as three of Linux over IPv6 have
}

// newAttempt starts with the SYN s.
func newAttempt(s *segment, p *tcpdump.Packet, at time.Time) *attempt {
	a := &attempt{
		clientIsA: s.fromA,
		iss:       s.Seq,
		cEnd:      s.Seq + s.length(),
	}
	client, server := s.key.ends()
	if !s.fromA {
		client, server = server, client
	}
	a.rec = Record{
		Time:        at,
		Client:      client,
		Server:      server,
		ClientISN:   s.Seq,
		SYNACKDelay: -1,
		ACKDelay:    -1,
	}
	a.rec.Segments = a.segments[:0]
	readOffer(&a.rec.SYN, &a.options[0], s, p.Data)
	return a
}

// repeatSYN takes the same SYN again. Its options may have shrunk: what counts are those of the SYN
// that is answered.
func (a *attempt) repeatSYN(s *segment, p *tcpdump.Packet) {
	a.rec.SYNRetransmits++
	if a.answered {
		return
	}
	if end := s.Seq + s.length(); within(a.cEnd, end, a.cEnd+1<<31-1) {
		a.cEnd = end
	}
	readOffer(&a.rec.SYN, &a.options[0], s, p.Data)
}

// cross takes a SYN of the server, which opens at the same time (RFC 9293 §3.5 figure 7).
func (a *attempt) cross(s *segment, p *tcpdump.Packet) {
	if a.crossed || a.answered {
		return
	}
	a.crossed = true
	a.rec.Simultaneous = true
	a.heardServer(s, p)
}

// answer takes an acceptable SYN-ACK. The client keeps the first one.
func (a *attempt) answer(s *segment, p *tcpdump.Packet, at time.Time) {
	if a.answered {
		if s.Seq == a.irs {
			a.rec.SYNACKRetransmits++
		}
		return
	}
	a.answered = true
	a.cNext = s.Ack
	a.synackTime = at
	if a.rec.SYNRetransmits == 0 { // else the sample is ambiguous (Karn, RFC 6298 §3)
		a.rec.SYNACKDelay = at.Sub(a.rec.Time)
	}
	a.heardServer(s, p)
}

// heardServer takes the server's number and offer.
func (a *attempt) heardServer(s *segment, p *tcpdump.Packet) {
	a.irs = s.Seq
	a.sEnd = s.Seq + s.length()
	a.sNext = a.sEnd
	a.rec.ServerISN = s.Seq
	a.rec.SYNACK = &a.synack
	readOffer(&a.synack, &a.options[1], s, p.Data)
}

// serverData takes a segment that the server sent without waiting for the third one.
func (a *attempt) serverData(s *segment) {
	if end := s.Seq + s.length(); within(a.sNext, end, a.sNext+1<<31-1) {
		a.sNext = end
	}
}

// acksClient reports whether s acknowledges the client's SYN.
func (a *attempt) acksClient(s *segment) bool {
	return s.Flags&packet.ACK != 0 && within(a.iss, s.Ack, a.cEnd)
}

// acksServer reports whether s is a client's answer to the server's SYN: RFC 9293 §3.10.7.4,
// SYN-RECEIVED. ack = IRS does not complete a handshake.
func (a *attempt) acksServer(s *segment) bool {
	return s.Flags&packet.ACK != 0 && within(a.irs, s.Ack, a.sNext) &&
		(within(a.iss, s.Seq, a.cEnd) || s.Flags&packet.SYN != 0 && s.Seq == a.iss)
}

// lacksTimestamp reports whether s misses the option that SYN and SYN-ACK agreed on. A stack drops
// such a segment (RFC 7323 §3.2), so it completes nothing.
func (a *attempt) lacksTimestamp(s *segment, p *tcpdump.Packet) bool {
	if a.rec.SYN.Timestamp == nil || a.synack.Timestamp == nil {
		return false
	}
	var o Offer
	readOffer(&o, &offerOptions{}, s, p.Data)
	return o.Timestamp == nil
}

// resetNumber is the sequence number that makes a RST of the client count.
func (a *attempt) resetNumber() uint32 {
	if a.answered {
		return a.cNext
	}
	return a.iss + 1
}

// unanswered returns the outcome of an attempt that ends without one.
func (a *attempt) unanswered() Outcome {
	if a.answered {
		return HalfOpen
	}
	return NoReply
}

// show adds s to the record. It returns nil when the record is full.
func (a *attempt) show(s *segment, p *tcpdump.Packet, at time.Time) *Segment {
	if len(a.rec.Segments) == maxSegments {
		return nil
	}
	header := p.Data[:min(s.End, len(p.Data), maxHeaders)]
	kept := Segment{
		Time: at, Packet: *p, FromClient: s.fromA == a.clientIsA,
		TCP: uint16(min(s.Offset, math.MaxUint16)), Payload: uint32(s.PayloadLen()),
	}
	kept.Packet.Data = a.keep(header)
	kept.Packet.VLANs = slices.Clone(p.VLANs)
	if s.partial && s.PayloadLen() == 0 {
		finishChecksum(kept.Packet.Data[min(s.Offset, len(header)):])
	}
	for _, w := range s.rewrites {
		a.rec.Rewrites = append(a.rec.Rewrites, newRewrite(s.name(), w))
	}
	a.rec.Segments = append(a.rec.Segments, kept)
	return &a.rec.Segments[len(a.rec.Segments)-1]
}

// keep copies b into the attempt's own memory while that lasts.
func (a *attempt) keep(b []byte) []byte {
	from, to := int(a.used), int(a.used)+len(b)
	if to > len(a.bytes) {
		return slices.Clone(b)
	}
	own := a.bytes[from:to:to]
	a.used += uint16(copy(own, b))
	return own
}
