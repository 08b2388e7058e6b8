package tracker

import (
	"encoding/binary"
	"math"
	"slices"
	"time"

	"syntap/tap/handshake"
	"syntap/tap/tcpdump"
	"syntap/tap/tracker/evidence"
	"syntap/tap/tracker/tuple"
	"syntap/tun/flow"
	"syntap/tun/packet"
)

// maxSegments bounds the shown segments of one handshake, however often they are repeated.
const maxSegments = 64

// tracked is one try to open a connection and the memory of its record, so that both are one
// allocation.
type tracked struct {
	rec    handshake.Record
	serial uint64 // orders handshakes by their first SYN

	clientIsA bool // the client is end a of the flow's key

	// Sequence numbers, with the names of the rules in doc.go.
	iss, cEnd, cNext uint32 // cNext is valid iff answered
	irs, sEnd, sNext uint32 // valid iff answered or crossed

	answered    bool // an acceptable SYN-ACK has passed
	crossed     bool // a SYN of the server has passed: simultaneous open
	ackedClient bool // the server has acknowledged the client's SYN
	ackedServer bool // with crossed: the client has acknowledged the server's SYN

	tentative bool   // it counts only if its SYN is answered as a new one
	own       bool   // though tentative, it makes a record: its SYN came before there was a connection
	recorded  uint8  // code of the record that the same SYN has already; 0 if none
	used      uint16 // bytes that hold headers

	later *evidence.Later // of a capture; nil while there is nothing in it

	synackTime time.Time // of the first acceptable SYN-ACK

	synack   handshake.Offer
	options  [2]handshake.OptionMemory // of the SYN and of the SYN-ACK
	upstream flow.Upstream
	segments [4]handshake.Segment
	bytes    [232]byte // headers of the segments: as many as three of Linux over IPv6 have
}

// newTracked begins with the SYN p.
func newTracked(p *tuple.Packet, seen *tcpdump.Packet, at time.Time) *tracked {
	h := &tracked{
		clientIsA: p.FromA,
		iss:       p.Seq,
		cEnd:      p.Seq + p.SeqLen(),
	}
	client, server := p.Flow.Ends()
	if !p.FromA {
		client, server = server, client
	}
	h.rec = handshake.Record{
		Time:        at,
		Client:      client,
		Server:      server,
		ClientISN:   p.Seq,
		SYNACKDelay: -1,
		ACKDelay:    -1,
	}
	h.rec.Segments = h.segments[:0]
	h.rec.SYN.Read(&h.options[0], p.Headers, seen.Data)
	return h
}

// fromClient reports whether the client has sent p.
func (h *tracked) fromClient(p *tuple.Packet) bool { return p.FromA == h.clientIsA }

// repeatSYN takes the same SYN again. Its options may have shrunk: the options of the SYN that is
// answered count.
func (h *tracked) repeatSYN(p *tuple.Packet, seen *tcpdump.Packet) {
	h.rec.SYNRetransmits++
	if h.answered {
		return
	}
	if end := p.Seq + p.SeqLen(); packet.SeqWithin(h.cEnd, end, h.cEnd+1<<31-1) {
		h.cEnd = end
	}
	h.rec.SYN.Read(&h.options[0], p.Headers, seen.Data)
}

// cross takes a SYN of the server, which opens at the same time (RFC 9293 §3.5 figure 7).
func (h *tracked) cross(p *tuple.Packet, seen *tcpdump.Packet) {
	if h.crossed || h.answered {
		return
	}
	h.crossed = true
	h.rec.Simultaneous = true
	h.heardServer(p, seen)
}

// uncross undoes cross.
func (h *tracked) uncross() { h.crossed, h.ackedServer, h.rec.Simultaneous = false, false, false }

// answer takes an acceptable SYN-ACK. The client keeps the first one.
func (h *tracked) answer(p *tuple.Packet, seen *tcpdump.Packet, at time.Time) {
	if h.answered {
		if p.Seq == h.irs {
			h.rec.SYNACKRetransmits++
		}
		return
	}
	if h.crossed && p.Seq != h.irs { // the server has not sent the SYN that has crossed
		h.uncross()
		h.rec.Conflict |= handshake.ConflictSYN
	}
	h.answered = true
	h.cNext = p.Ack
	h.synackTime = at
	if h.rec.SYNRetransmits == 0 { // else the sample is ambiguous (Karn, RFC 6298 §3)
		h.rec.SYNACKDelay = at.Sub(h.rec.Time)
	}
	h.heardServer(p, seen)
}

// heardServer takes the server's number and offer.
func (h *tracked) heardServer(p *tuple.Packet, seen *tcpdump.Packet) {
	h.irs = p.Seq
	h.sEnd = p.Seq + p.SeqLen()
	h.sNext = h.sEnd
	h.rec.ServerISN = p.Seq
	h.rec.SYNACK = &h.synack
	h.synack.Read(&h.options[1], p.Headers, seen.Data)
}

// serverData takes a segment that the server sent without waiting for the third one.
func (h *tracked) serverData(p *tuple.Packet) {
	if end := p.Seq + p.SeqLen(); packet.SeqWithin(h.sNext, end, h.sNext+1<<31-1) {
		h.sNext = end
	}
}

// acksClient reports whether p acknowledges the client's SYN.
func (h *tracked) acksClient(p *tuple.Packet) bool {
	return p.Flags&packet.ACK != 0 && packet.SeqWithin(h.iss, p.Ack, h.cEnd)
}

// acksServer reports whether p is a client's answer to the server's SYN: RFC 9293 §3.10.7.4,
// SYN-RECEIVED. ack = IRS does not complete a handshake.
func (h *tracked) acksServer(p *tuple.Packet) bool {
	return p.Flags&packet.ACK != 0 && packet.SeqWithin(h.irs, p.Ack, h.sNext) &&
		(packet.SeqWithin(h.iss, p.Seq, h.cEnd) || p.Flags&packet.SYN != 0 && p.Seq == h.iss)
}

// syn returns the numbers of the client's SYN.
func (h *tracked) syn() evidence.SYN { return evidence.SYN{ISS: h.iss, End: h.cEnd} }

// more returns the handshake's memory of a capture.
func (h *tracked) more() *evidence.Later {
	if h.later == nil {
		h.later = new(evidence.Later)
	}
	return h.later
}

// verdict returns the verdict on a handshake of a capture that later segments may change; empty if
// there is none yet.
func (h *tracked) verdict() handshake.Outcome {
	if h.later == nil {
		return ""
	}
	return h.later.Verdict
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

// resetNumber is the sequence number that makes a RST of the client count.
func (h *tracked) resetNumber() uint32 {
	if h.answered {
		return h.cNext
	}
	return h.iss + 1
}

// unanswered returns the outcome of a handshake that ends without another segment.
func (h *tracked) unanswered() handshake.Outcome {
	if v := h.verdict(); v != "" {
		return v
	}
	if h.answered {
		return handshake.HalfOpen
	}
	return handshake.NoReply
}

// show adds p to the record. It returns nil if the record is full.
func (h *tracked) show(p *tuple.Packet, seen *tcpdump.Packet, at time.Time) *handshake.Segment {
	if len(h.rec.Segments) == maxSegments {
		return nil
	}
	header := seen.Data[:min(p.End, len(seen.Data), handshake.MaxHeaders)]
	shown := handshake.Segment{
		Time: at, Packet: *seen, FromClient: h.fromClient(p),
		TCP: uint16(min(p.Offset, math.MaxUint16)), Payload: uint32(p.PayloadLen()),
	}
	shown.Packet.Data = h.keep(header)
	shown.Packet.VLANs = slices.Clone(seen.VLANs)
	if p.Partial && p.PayloadLen() == 0 {
		finishChecksum(shown.Packet.Data[min(p.Offset, len(header)):])
	}
	h.rec.Rewrites = append(h.rec.Rewrites, p.Changes...)
	h.rec.Segments = append(h.rec.Segments, shown)
	return &h.rec.Segments[len(h.rec.Segments)-1]
}

// keep copies b into the handshake's own memory while that lasts.
func (h *tracked) keep(b []byte) []byte {
	from, to := int(h.used), int(h.used)+len(b)
	if to > len(h.bytes) {
		return slices.Clone(b)
	}
	own := h.bytes[from:to:to]
	h.used += uint16(copy(own, b))
	return own
}

// finishChecksum completes the checksum of a TCP header without payload whose checksum field holds
// the sum of the pseudo-header.
func finishChecksum(header []byte) {
	binary.BigEndian.PutUint16(header[packet.TCPChecksum:], ^packet.Checksum(header, 0))
}
