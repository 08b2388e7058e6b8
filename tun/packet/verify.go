package packet

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// IPv4HeaderIntact verifies the checksum of an IPv4 header of at least 20 bytes. Its 16-bit words
// sum to 0 in ones' complement, which is modulo 0xffff, in whatever byte order and by however many
// at a time (RFC 1071 §2). It is on the path of every segment; Checksum is made for long runs.
func IPv4HeaderIntact(header []byte) bool {
	le, first := binary.LittleEndian, (*[IPv4HeaderLen]byte)(header)
	sum := uint64(le.Uint32(first[0:])) + uint64(le.Uint32(first[4:])) + uint64(le.Uint32(first[8:])) +
		uint64(le.Uint32(first[12:])) + uint64(le.Uint32(first[16:]))
	for header = header[IPv4HeaderLen:]; len(header) >= 4; header = header[4:] {
		sum += uint64(le.Uint32(header))
	}
	return sum%0xffff == 0
}

// ChecksumOK verifies the checksum of the TCP, UDP, ICMP or ICMPv6 message of a whole packet, of
// which head holds the first bytes with all headers, and body the rest. Packets of other protocols,
// and UDP without a checksum (RFC 768), it takes for right.
func (h *Headers) ChecksumOK(head, body []byte) bool {
	length, sum := h.Length-h.Offset, uint16(0)
	if len(head) < h.Offset {
		return false
	}
	switch h.Proto {
	case ProtoTCP, ProtoICMPv6:
	case ProtoUDP:
		if len(head) < h.Offset+UDPHeaderLen {
			return false
		}
		u := head[h.Offset:]
		if h.Version == 4 && u[6]|u[7] == 0 {
			return true
		}
		// Behind it there may be options (RFC 9868 §5). A datagram beyond 65,535 bytes, as before
		// segmentation, has no length.
		if claimed := int(binary.BigEndian.Uint16(u[4:])); UDPHeaderLen <= claimed && claimed < length {
			length = claimed
		}
	case ProtoICMP: // covers itself alone
	default:
		return true
	}
	if h.Proto != ProtoICMP {
		src, dst := h.Addrs(head)
		sum = PseudoHeaderSum(h.Proto, src, dst, length)
	}
	end := h.Offset + length
	first := head[h.Offset:min(end, len(head))]
	sum = Checksum(first, sum)
	if rest := end - len(head); rest > 0 {
		sum = appendSum(sum, len(first), Checksum(body[:rest], 0))
	}
	return sum == 0xffff
}

// appendSum returns the sum of n bytes that sum to a and of bytes behind them that sum to b.
func appendSum(a uint16, n int, b uint16) uint16 {
	if n%2 == 1 {
		b = bits.ReverseBytes16(b)
	}
	return fold(uint64(a)+uint64(b), 0)
}

// TransportChecksum returns the checksum for a TCP, ICMP or ICMPv6 message whose checksum field is
// zero. For UDP a result of 0 is sent as 0xffff (RFC 768, RFC 8200 §8.1).
func TransportChecksum(proto uint8, src, dst netip.Addr, message []byte) uint16 {
	return ^Checksum(message, pseudoHeaderSum(proto, src, dst, len(message)))
}

// pseudoHeaderSum is PseudoHeaderSum for addresses of one family; of ICMP, which has no
// pseudo-header, it is 0.
func pseudoHeaderSum(proto uint8, src, dst netip.Addr, length int) uint16 {
	switch {
	case proto == ProtoICMP:
		return 0
	case dst.Is6():
		s, d := src.As16(), dst.As16()
		return PseudoHeaderSum(proto, s[:], d[:], length)
	default:
		s, d := src.As4(), dst.As4()
		return PseudoHeaderSum(proto, s[:], d[:], length)
	}
}
