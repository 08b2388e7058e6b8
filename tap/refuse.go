package tap

import (
	"encoding/binary"

	"syntap/tun"
)

// Admission says what becomes of a SYN that would begin an attempt.
type Admission uint8

const (
	Admit  Admission = iota // it may enter
	Wait                    // it is dropped, and the client sends another
	Refuse                  // it is dropped, and the client is told
)

// refuse tells the client of a SYN, of which head holds the headers, that it may not open connections, in the name of the destination: ICMP administratively prohibited
// (RFC 1812 §5.2.7.1, RFC 4443 §3.1).
func (t *Tap) refuse(head []byte) {
	var ip ipHeader
	ip.parse(head, tun.MaxFrame)
	if t.answers.AllowN(t.now(), 1) {
		_ = t.link.WriteFrame(tun.Offload{}, [][]byte{prohibited(&ip, head[:min(ip.length, len(head))])}) // lost as on any wire
	}
}

// prohibited returns the ICMP error that answers a packet of which the headers are there.
func prohibited(ip *ipHeader, packet []byte) []byte {
	const icmpHeader, hopLimit = 8, 64
	const unreachable6, prohibited4, prohibited6 = 1, 13, 1
	be := binary.BigEndian
	src, dst := ip.addresses(packet)
	header := 20
	if ip.version == 6 {
		header = 40
	}
	b := append(make([]byte, header+icmpHeader), packet...)
	message := b[header:]
	if ip.version == 6 {
		b[0], b[6], b[7] = 0x60, protoICMPv6, hopLimit
		be.PutUint16(b[4:], uint16(len(message)))
		copy(b[8:], dst)
		copy(b[24:], src)
		message[0], message[1] = unreachable6, prohibited6
		be.PutUint16(message[2:], ^tun.Checksum(message, tun.PseudoHeaderSum(protoICMPv6, dst, src, len(message))))
		return b
	}
	b[0], b[6], b[8], b[9] = 0x45, 0x40, hopLimit, protoICMP // DF
	be.PutUint16(b[2:], uint16(len(b)))
	copy(b[12:], dst)
	copy(b[16:], src)
	be.PutUint16(b[10:], ^tun.Checksum(b[:header], 0))
	message[0], message[1] = icmpUnreachable, prohibited4
	be.PutUint16(message[2:], ^tun.Checksum(message, 0))
	return b
}
