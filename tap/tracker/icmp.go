package tracker

import (
	"hash/fnv"
	"time"

	"syntap/tap/handshake"
	"syntap/tap/tcpdump"
	"syntap/tap/tracker/tuple"
	"syntap/tun/packet"
)

// observeICMP takes a captured packet that may be an ICMP error.
func (t *Tracker) observeICMP(h *packet.Headers, seen *tcpdump.Packet, at time.Time) {
	quoted, quote, ok := unreachableQuote(h, seen.Data)
	if !ok {
		return
	}
	p := tuple.Packet{Headers: &quoted}
	p.LocateCaptured(quote)
	t.unreachable(&p, answer{icmpSum(h, seen.Data), at})
}

// Unreachable takes an ICMP packet of the router that begins with b, of a live link.
func (t *Tracker) Unreachable(h *packet.Headers, b []byte, at time.Time) {
	quoted, quote, ok := unreachableQuote(h, b)
	if !ok {
		return
	}
	p := tuple.Packet{Headers: &quoted}
	p.Locate(quote, packet.Outbound)
	t.unreachable(&p, answer{at: at})
}

// unreachable ends the handshake whose SYN the ICMP error quotes. Once the SYN-ACK has passed such
// an error is soft (RFC 1122 §4.2.3.9), and one that does not quote the SYN's number is a guess
// (RFC 5927 §4).
func (t *Tracker) unreachable(p *tuple.Packet, a answer) {
	at := a.at
	sh := t.Shard(p)
	sh.Lock()
	defer sh.Unlock()
	sh.settleDueLocked(at)
	e := sh.flows[p.Flow]
	if e != nil && e.hs != nil && e.hs.isCrossing(p) {
		sh.turnLocked(e, at)
	}
	switch {
	case e == nil || e.hs == nil || !e.hs.fromClient(p):
	case p.Seq != e.hs.iss:
		e.formerUnreachable(p)
	case e.state == StateSYNSent:
		sh.confirmLocked(e.hs)
		e.noteAnswer(a)
		sh.verdictLocked(e, handshake.Unreachable, at)
	case e.state == StateSettling && e.past != nil && e.past.icmp.copied(a):
		count(&e.hs.rec.Copies)
	case e.state == StateSettling:
		e.noteAnswer(a)
		sh.answerAgainLocked(e, at)
	}
}

// noteAnswer keeps the last ICMP error of a capture.
func (e *Entry) noteAnswer(a answer) {
	if a.sum == 0 {
		return
	}
	if e.past == nil {
		e.past = new(past)
	}
	e.past.icmp = a
}

// icmpSum returns a sum over an ICMP packet that routers do not change: its TTL and the checksum of
// its IP header do not count. It is never 0.
func icmpSum(h *packet.Headers, b []byte) uint64 {
	sum := fnv.New64a()
	if h.Version == 4 {
		_, _ = sum.Write(b[:8])
		_, _ = sum.Write(b[12:min(len(b), h.Length)])
	} else {
		_, _ = sum.Write(b[:7])
		_, _ = sum.Write(b[8:min(len(b), h.Length)])
	}
	return sum.Sum64() | 1
}

// unreachableQuote returns the TCP packet that was lost for good by an ICMP error in b.
func unreachableQuote(h *packet.Headers, b []byte) (quoted packet.Headers, quote []byte, ok bool) {
	typ, code, quote, ok := h.ICMPErrorOf(b)
	if !ok || !endsConnect(h.Proto, typ, code) {
		return quoted, nil, false
	}
	quoted.Parse(quote, packet.AnyLength)
	ok = quoted.Upper && quoted.Proto == packet.ProtoTCP && len(quote) >= quoted.Offset+8
	return quoted, quote, ok
}

// endsConnect reports whether an ICMP error about a SYN says that it cannot arrive: not one about
// its size, a better route or a congested one (RFC 1122 §4.2.3.9, RFC 6633).
func endsConnect(proto, typ, code uint8) bool {
	if proto == packet.ProtoICMPv6 {
		return typ == packet.ICMPv6Unreachable || typ == packet.ICMPv6TimeExceeded ||
			typ == packet.ICMPv6ParameterProblem
	}
	return typ == packet.ICMPUnreachable && code != packet.ICMPFragmentationNeeded ||
		typ == packet.ICMPTimeExceeded || typ == packet.ICMPParameterProblem
}
