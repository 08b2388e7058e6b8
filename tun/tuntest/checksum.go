package tuntest

import (
	"encoding/binary"
	"errors"
	"fmt"

	"syntap/tun"
	"syntap/tun/packet"
)

// parse returns the headers of a whole packet without fragment and extension headers. It checks its
// length and the IPv4 header's checksum.
func parse(b []byte) (*packet.Headers, error) {
	h := new(packet.Headers)
	h.Parse(b, len(b))
	switch {
	case h.Problem == packet.Malformed || !h.Plain() || h.Length != len(b):
		return nil, fmt.Errorf("a packet of %d bytes has the headers %+v", len(b), *h)
	case h.Version == 4 && !packet.IPv4HeaderIntact(b[:h.HeaderLen]):
		return nil, errors.New("the checksum of the IPv4 header is wrong")
	}
	return h, nil
}

// checksumOffset returns the offset of the checksum in a TCP or UDP header.
func checksumOffset(proto uint8) int {
	if proto == packet.ProtoTCP {
		return packet.TCPChecksum
	}
	return 6
}

// pseudoHeaderSum returns the sum of a packet's pseudo-header; ICMP has none.
func pseudoHeaderSum(h *packet.Headers, b []byte) uint16 {
	if h.Proto == packet.ProtoICMP {
		return 0
	}
	src, dst := h.Addrs(b)
	return packet.PseudoHeaderSum(h.Proto, src, dst, h.Length-h.Offset)
}

// VerifyChecksums returns the fault in the lengths and checksums of an unfragmented TCP, UDP,
// ICMP or ICMPv6 packet that is finished, not left to an offload.
func VerifyChecksums(b []byte) error {
	h, err := parse(b)
	if err != nil {
		return err
	}
	switch h.Proto {
	case packet.ProtoTCP, packet.ProtoUDP, packet.ProtoICMP, packet.ProtoICMPv6:
	default:
		return fmt.Errorf("protocol %d has no checksum known here", h.Proto)
	}
	if sum := packet.Checksum(b[h.Offset:], pseudoHeaderSum(h, b)); sum != 0xffff {
		return fmt.Errorf("protocol %d message sums to %#04x", h.Proto, sum)
	}
	return nil
}

// Offloaded makes a TCP or UDP packet the frame that a kernel with offloads hands over: its
// checksum field holds the pseudo-header's sum only, and a payload longer than gsoSize is left to
// be cut into pieces of that many bytes. A gsoSize of 0 leaves no cutting. The frame takes over the
// memory of b.
func Offloaded(b []byte, gsoSize uint16) Frame {
	h, err := parse(b)
	if err != nil {
		panic("tuntest: offload of a broken packet: " + err.Error())
	}
	end, gso := h.End, tun.GSOTCPv4
	switch {
	case h.Proto == packet.ProtoUDP:
		end, gso = h.Offset+packet.UDPHeaderLen, tun.GSOUDP
	case h.Proto != packet.ProtoTCP:
		panic("tuntest: offload of neither TCP nor UDP")
	case h.Version == 6:
		gso = tun.GSOTCPv6
	}
	field := checksumOffset(h.Proto)
	binary.BigEndian.PutUint16(b[h.Offset+field:], pseudoHeaderSum(h, b))
	off := tun.Offload{Flags: tun.NeedsCsum, CsumStart: uint16(h.Offset), CsumOffset: uint16(field)}
	if gsoSize > 0 && len(b)-end > int(gsoSize) {
		off.GSO, off.GSOSize, off.HdrLen = gso, gsoSize, uint16(end)
	}
	return Frame{Data: b, Offload: off}
}
