package tap

import (
	"encoding/binary"

	"syntap/tun"
)

// answersPerSecond bounds how many ICMP errors clients get (RFC 1812 §4.3.2.8).
const answersPerSecond = 100

// answerTooBig tells the client that its packet, an IPv4 fragment, was refused, and the MTU that it is to keep to.
func (t *Tap) answerTooBig(packet []byte) {
	if t.answers.AllowN(t.now(), 1) {
		_ = t.WriteFrame(tun.Offload{}, [][]byte{fragmentationNeeded(packet, t.MTU())}) // lost as on any wire
	}
}

// fragmentationNeeded returns the ICMP error "fragmentation needed" that answers an IPv4 packet in the name of its
// destination (RFC 1191 §4).
func fragmentationNeeded(packet []byte, mtu int) []byte {
	const ipHeader, icmpHeader, hopLimit = 20, 8, 64
	be := binary.BigEndian
	b := make([]byte, ipHeader+icmpHeader, ipHeader+icmpHeader+len(packet))
	b = append(b, packet...)
	b[0] = 0x45
	be.PutUint16(b[2:], uint16(len(b)))
	b[6] = 0x40 // DF
	b[8], b[9] = hopLimit, protoICMP
	copy(b[12:16], packet[16:20])
	copy(b[16:20], packet[12:16])
	be.PutUint16(b[10:], ^tun.Checksum(b[:ipHeader], 0))

	message := b[ipHeader:]
	message[0], message[1] = icmpUnreachable, icmpFragmentationNeeded
	be.PutUint16(message[6:], uint16(mtu))
	be.PutUint16(message[2:], ^tun.Checksum(message, 0))
	return b
}
