package tap

import (
	"time"

	"syntap/tap/tcpdump"
	"syntap/tun/packet"
)

// aboutTCP reports whether the packet that begins with head is an ICMP error that quotes TCP, or
// may quote it. An error about the size of a packet is left to the router, which knows the packets
// that it has sent, unless the error could get to netstack by itself.
func aboutTCP(h *packet.Headers, head []byte) bool {
	typ, code, quote, ok := h.ICMPErrorOf(head)
	if !ok {
		return false
	}
	if h.Fragment == packet.FirstFragment {
		return true
	}
	tooBig4 := h.Proto == packet.ProtoICMP &&
		typ == packet.ICMPUnreachable && code == packet.ICMPFragmentationNeeded
	tooBig6 := h.Proto == packet.ProtoICMPv6 && typ == packet.ICMPv6PacketTooBig
	if tooBig4 || tooBig6 && h.Plain() {
		return false
	}
	var quoted packet.Headers
	quoted.Parse(quote, packet.AnyLength)
	return quoted.Proto == packet.ProtoTCP || !quoted.Upper
}

// onICMP takes an ICMP error that may answer a SYN. Once the SYN-ACK has passed such an error is
// soft (RFC 1122 §4.2.3.9), and one that does not quote the SYN's number is a guess (RFC 5927 §4).
func (t *Tracker) onICMP(h *packet.Headers, b []byte, p *tcpdump.Packet, d direction,
	at time.Time) {
	typ, code, quote, ok := h.ICMPErrorOf(b)
	switch {
	case !ok,
		h.Proto == packet.ProtoICMP &&
			(typ != packet.ICMPUnreachable || code == packet.ICMPFragmentationNeeded),
		h.Proto == packet.ProtoICMPv6 && typ != packet.ICMPv6Unreachable:
		return
	}
	var quoted packet.Headers
	quoted.Parse(quote, packet.AnyLength)
	if !quoted.Upper || quoted.Proto != packet.ProtoTCP || len(quote) < quoted.Offset+8 {
		return
	}
	q := segment{Headers: &quoted}
	q.setKey(quote, d)
	q.key.setVLANs(p)
	hash := t.hash(&q.key)
	sh := t.shard(hash)
	sh.mu.Lock()
	defer t.deliver(sh)
	f := sh.flows[q.key]
	if f == nil || f.class != opening || q.fromA != f.attempt.clientIsA || q.Seq != f.attempt.iss {
		return
	}
	f.router = idle
	t.confirm(sh, f.attempt)
	t.finish(sh, f, Unreachable, at)
}
