package handshake

import (
	"time"

	"syntap/tap/tcpdump"
	"syntap/tun/packet"
)

// observeICMP takes a captured packet that may be an ICMP error.
func (t *Tracker) observeICMP(h *packet.Headers, seen *tcpdump.Packet, at time.Time) {
	quoted, quote, ok := unreachableQuote(h, seen.Data)
	if !ok {
		return
	}
	p := Packet{Headers: &quoted}
	p.locate(quote, false, true)
	p.Flow.setVLANs(seen.VLANs)
	t.unreachable(&p, at)
}

// Unreachable takes an ICMP packet of the router that begins with b, of a live link.
func (t *Tracker) Unreachable(h *packet.Headers, b []byte, at time.Time) {
	quoted, quote, ok := unreachableQuote(h, b)
	if !ok {
		return
	}
	p := Packet{Headers: &quoted}
	p.Locate(quote, packet.Outbound)
	t.unreachable(&p, at)
}

// unreachable ends the handshake whose SYN the ICMP error quotes. Once the SYN-ACK has passed such
// an error is soft (RFC 1122 §4.2.3.9), and one that does not quote the SYN's number is a guess
// (RFC 5927 §4).
func (t *Tracker) unreachable(p *Packet, at time.Time) {
	sh := t.Shard(p)
	sh.Lock()
	defer sh.Unlock()
	e := sh.flows[p.Flow]
	if e == nil || e.state != StateSYNSent || !e.hs.fromClient(p) || p.Seq != e.hs.iss {
		return
	}
	sh.confirmLocked(e.hs)
	sh.EndLocked(e, Unreachable, at)
}

// unreachableQuote returns the TCP packet that an ICMP "destination unreachable" in b quotes.
func unreachableQuote(h *packet.Headers, b []byte) (quoted packet.Headers, quote []byte, ok bool) {
	typ, code, quote, ok := h.ICMPErrorOf(b)
	switch {
	case !ok,
		h.Proto == packet.ProtoICMP &&
			(typ != packet.ICMPUnreachable || code == packet.ICMPFragmentationNeeded),
		h.Proto == packet.ProtoICMPv6 && typ != packet.ICMPv6Unreachable:
		return quoted, nil, false
	}
	quoted.Parse(quote, packet.AnyLength)
	ok = quoted.Upper && quoted.Proto == packet.ProtoTCP && len(quote) >= quoted.Offset+8
	return quoted, quote, ok
}
