package tap

import "syntap/tun"

// refuse tells the client of a SYN, of which head holds the headers, that it may not open
// connections: ICMP administratively prohibited (RFC 1812 §5.2.7.1, RFC 4443 §3.1).
func (t *Tap) refuse(head []byte) {
	const unreachable6, prohibited4, prohibited6 = 1, 13, 1
	var ip ipHeader
	ip.parse(head, tun.MaxFrame)
	typ, code := byte(icmpUnreachable), byte(prohibited4)
	if ip.version == 6 {
		typ, code = unreachable6, prohibited6
	}
	t.answer(head[:min(ip.length, len(head))], typ, code, 0)
}

// answersPerSecond bounds how many ICMP errors clients get (RFC 1812 §4.3.2.8).
const answersPerSecond = 100

// answer sends a client the ICMP error about its packet, if it is not one too many. It is lost as
// on any wire.
func (t *Tap) answer(packet []byte, typ, code byte, mtu int) {
	if t.answers.AllowN(t.now(), 1) {
		_ = t.link.WriteFrame(tun.Offload{}, [][]byte{icmpError(packet, typ, code, mtu)})
	}
}
