package tuntest

import (
	"encoding/binary"
	"errors"
	"fmt"

	"syntap/tun"
)

// payload is the part of an unfragmented packet without extension headers behind its IP header.
type payload struct {
	protocol  uint8
	src, dst  []byte
	headerLen int // of the IP header
	data      []byte
}

// parse splits a packet and checks the IPv4 header's checksum.
func parse(packet []byte) (payload, error) {
	switch {
	case len(packet) >= 20 && packet[0]>>4 == 4:
		headerLen, total := int(packet[0]&15)*4, int(binary.BigEndian.Uint16(packet[2:]))
		if headerLen < 20 || headerLen > total || total != len(packet) {
			return payload{}, fmt.Errorf("IPv4 header of %d bytes, total length %d in a packet of %d bytes", headerLen, total, len(packet))
		}
		if sum := tun.Checksum(packet[:headerLen], 0); sum != 0xffff {
			return payload{}, fmt.Errorf("IPv4 header sums to %#04x", sum)
		}
		return payload{packet[9], packet[12:16], packet[16:20], headerLen, packet[headerLen:]}, nil
	case len(packet) >= 40 && packet[0]>>4 == 6:
		if length := int(binary.BigEndian.Uint16(packet[4:])); length != len(packet)-40 {
			return payload{}, fmt.Errorf("IPv6 payload length %d in a packet of %d bytes", length, len(packet))
		}
		return payload{packet[6], packet[8:24], packet[24:40], 40, packet[40:]}, nil
	}
	return payload{}, errors.New("not a whole IP packet")
}

// checksumOffset returns where the checksum of a message with a pseudo-header stands.
func checksumOffset(protocol uint8) (offset int, ok bool) {
	switch protocol {
	case protocolTCP:
		return 16, true
	case protocolUDP:
		return 6, true
	case protocolICMPv6:
		return 2, true
	}
	return 0, false
}

// VerifyChecksums tells what is wrong with the lengths and checksums of an unfragmented TCP, UDP,
// ICMP or ICMPv6 packet that is finished, not left to an offload.
func VerifyChecksums(packet []byte) error {
	p, err := parse(packet)
	if err != nil {
		return err
	}
	initial := uint16(0)
	if _, ok := checksumOffset(p.protocol); ok {
		initial = tun.PseudoHeaderSum(p.protocol, p.src, p.dst, len(p.data))
	} else if p.protocol != protocolICMPv4 {
		return fmt.Errorf("protocol %d has no checksum known here", p.protocol)
	}
	if sum := tun.Checksum(p.data, initial); sum != 0xffff {
		return fmt.Errorf("protocol %d message sums to %#04x", p.protocol, sum)
	}
	return nil
}

// Offloaded makes a TCP or UDP packet the frame that a kernel with offloads hands over: its
// checksum field holds the pseudo-header's sum only, and a payload longer than gsoSize is left to
// be cut into pieces of that many bytes. A gsoSize of 0 leaves no cutting. The frame takes over
// packet's memory.
func Offloaded(packet []byte, gsoSize uint16) Frame {
	p, err := parse(packet)
	if err != nil {
		panic("tuntest: offload of a broken packet: " + err.Error())
	}
	field, ok := checksumOffset(p.protocol)
	if !ok || p.protocol == protocolICMPv6 {
		panic("tuntest: offload of neither TCP nor UDP")
	}
	binary.BigEndian.PutUint16(p.data[field:], tun.PseudoHeaderSum(p.protocol, p.src, p.dst, len(p.data)))
	off := tun.Offload{Flags: tun.NeedsCsum, CsumStart: uint16(p.headerLen), CsumOffset: uint16(field)}

	transportLen, gso := 8, tun.GSOUDP
	if p.protocol == protocolTCP {
		transportLen, gso = int(p.data[12]>>4)*4, tun.GSOTCPv4
		if packet[0]>>4 == 6 {
			gso = tun.GSOTCPv6
		}
	}
	if gsoSize > 0 && len(p.data)-transportLen > int(gsoSize) {
		off.GSO, off.GSOSize, off.HdrLen = gso, gsoSize, uint16(p.headerLen+transportLen)
	}
	return Frame{Data: packet, Offload: off}
}
