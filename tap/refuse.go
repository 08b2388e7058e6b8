package tap

import (
	"syntap/tun"
	"syntap/tun/packet"
)

// refuse answers the SYN whose headers are in head with ICMP "administratively prohibited" (RFC
// 1812 §5.2.7.1, RFC 4443 §3.1).
func (t *Tap) refuse(h *packet.Headers, head []byte) {
	if h.Version == 6 {
		t.answer(h, head, packet.ICMPv6Unreachable, packet.ICMPv6Prohibited, 0)
	} else {
		t.answer(h, head, packet.ICMPUnreachable, packet.ICMPProhibited, 0)
	}
}

// answersPerSecond bounds how many ICMP errors clients get (RFC 1812 §4.3.2.8).
const answersPerSecond = 100

// answer sends a client the ICMP error about its packet, within the rate limit. The error may be
// lost, as on any link.
func (t *Tap) answer(h *packet.Headers, head []byte, typ, code uint8, mtu int) {
	if t.answers.AllowN(t.now(), 1) {
		b := packet.ICMPError(h, head, h.Dst(head), typ, code, uint32(mtu))
		_ = t.link.WriteFrame(tun.Offload{}, [][]byte{b})
	}
}
