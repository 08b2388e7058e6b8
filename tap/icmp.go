package tap

import "syntap/tun/packet"

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
