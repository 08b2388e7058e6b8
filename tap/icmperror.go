package tap

import (
	"encoding/binary"

	"syntap/tun/packet"
)

// icmpError returns the ICMP error that answers a packet in the name of its destination, with a
// type and a code of the packet's family and, in an error of IPv4 about its size, the MTU (RFC 792,
// RFC 1191 §4, RFC 4443 §3.1). It quotes all that is given of the packet.
func icmpError(sent []byte, typ, code byte, mtu int) []byte {
	const icmpHeader, hopLimit = 8, 64
	be := binary.BigEndian
	ip := ipHeader{version: sent[0] >> 4}
	src, dst := ip.addresses(sent)
	header := 20
	if ip.version == 6 {
		header = 40
	}
	b := append(make([]byte, header+icmpHeader, header+icmpHeader+len(sent)), sent...)
	message := b[header:]
	message[0], message[1] = typ, code
	be.PutUint16(message[6:], uint16(mtu))
	if ip.version == 6 {
		b[0], b[6], b[7] = 0x60, protoICMPv6, hopLimit
		be.PutUint16(b[4:], uint16(len(message)))
		copy(b[8:], dst)
		copy(b[24:], src)
		be.PutUint16(message[2:], ^packet.Checksum(message, packet.PseudoHeaderSum(protoICMPv6, dst, src, len(message))))
		return b
	}
	b[0], b[6], b[8], b[9] = 0x45, 0x40, hopLimit, protoICMP // DF
	be.PutUint16(b[2:], uint16(len(b)))
	copy(b[12:], dst)
	copy(b[16:], src)
	be.PutUint16(b[10:], ^packet.Checksum(b[:header], 0))
	be.PutUint16(message[2:], ^packet.Checksum(message, 0))
	return b
}
