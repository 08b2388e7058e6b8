package tuntest

import (
	"encoding/binary"
	"errors"
	"fmt"

	"syntap/tun"
	"syntap/tun/packet"
)

// payload is the part of an unfragmented packet without extension headers behind its IP header.
type payload struct {
	protocol  uint8
	src, dst  []byte
	headerLen int // of the IP header
	data      []byte
}

// parse splits a packet and checks the IPv4 header's checksum.
func parse(b []byte) (payload, error) {
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		headerLen, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
		if headerLen < 20 || headerLen > total || total != len(b) {
			return payload{}, fmt.Errorf("IPv4 header of %d bytes, total length %d in a packet of %d bytes", headerLen, total, len(b))
		}
		if sum := packet.Checksum(b[:headerLen], 0); sum != 0xffff {
			return payload{}, fmt.Errorf("IPv4 header sums to %#04x", sum)
		}
		return payload{b[9], b[12:16], b[16:20], headerLen, b[headerLen:]}, nil
	case len(b) >= 40 && b[0]>>4 == 6:
		if length := int(binary.BigEndian.Uint16(b[4:])); length != len(b)-40 {
			return payload{}, fmt.Errorf("IPv6 payload length %d in a packet of %d bytes", length, len(b))
		}
		return payload{b[6], b[8:24], b[24:40], 40, b[40:]}, nil
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

// VerifyChecksums returns the fault in the lengths and checksums of an unfragmented TCP, UDP,
// ICMP or ICMPv6 packet that is finished, not left to an offload.
func VerifyChecksums(b []byte) error {
	p, err := parse(b)
	if err != nil {
		return err
	}
	initial := uint16(0)
	if _, ok := checksumOffset(p.protocol); ok {
		initial = packet.PseudoHeaderSum(p.protocol, p.src, p.dst, len(p.data))
	} else if p.protocol != protocolICMPv4 {
		return fmt.Errorf("protocol %d has no checksum known here", p.protocol)
	}
	if sum := packet.Checksum(p.data, initial); sum != 0xffff {
		return fmt.Errorf("protocol %d message sums to %#04x", p.protocol, sum)
	}
	return nil
}

// Offloaded makes a TCP or UDP packet the frame that a kernel with offloads hands over: its
// checksum field holds the pseudo-header's sum only, and a payload longer than gsoSize is left to
// be cut into pieces of that many bytes. A gsoSize of 0 leaves no cutting. The frame takes over
// packet's memory.
func Offloaded(b []byte, gsoSize uint16) Frame {
	p, err := parse(b)
	if err != nil {
		panic("tuntest: offload of a broken packet: " + err.Error())
	}
	field, ok := checksumOffset(p.protocol)
	if !ok || p.protocol == protocolICMPv6 {
		panic("tuntest: offload of neither TCP nor UDP")
	}
	binary.BigEndian.PutUint16(p.data[field:], packet.PseudoHeaderSum(p.protocol, p.src, p.dst, len(p.data)))
	off := tun.Offload{Flags: tun.NeedsCsum, CsumStart: uint16(p.headerLen), CsumOffset: uint16(field)}

	transportLen, gso := 8, tun.GSOUDP
	if p.protocol == protocolTCP {
		transportLen, gso = int(p.data[12]>>4)*4, tun.GSOTCPv4
		if b[0]>>4 == 6 {
			gso = tun.GSOTCPv6
		}
	}
	if gsoSize > 0 && len(p.data)-transportLen > int(gsoSize) {
		off.GSO, off.GSOSize, off.HdrLen = gso, gsoSize, uint16(p.headerLen+transportLen)
	}
	return Frame{Data: b, Offload: off}
}
