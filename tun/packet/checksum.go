package packet

import (
	"encoding/binary"
	"math/bits"
)

// Checksum returns the ones' complement sum of b and initial (RFC 1071 §4), folded to 16 bits and
// not complemented: the checksum field of a header takes its complement, and a whole packet that is
// intact sums to 0xffff. To sum several slices pass each result on as the next initial; all but the
// last must have an even length.
func Checksum(b []byte, initial uint16) uint16 {
	// The sum does not depend on byte order (RFC 1071 §2.B), so it is taken over little-endian
	// words of 64 bits, and the result is swapped.
	le := binary.LittleEndian
	sum, carry := uint64(bits.ReverseBytes16(initial)), uint64(0)
	for len(b) >= 64 {
		sum, carry = bits.Add64(sum, le.Uint64(b[0:]), carry)
		sum, carry = bits.Add64(sum, le.Uint64(b[8:]), carry)
		sum, carry = bits.Add64(sum, le.Uint64(b[16:]), carry)
		sum, carry = bits.Add64(sum, le.Uint64(b[24:]), carry)
		sum, carry = bits.Add64(sum, le.Uint64(b[32:]), carry)
		sum, carry = bits.Add64(sum, le.Uint64(b[40:]), carry)
		sum, carry = bits.Add64(sum, le.Uint64(b[48:]), carry)
		sum, carry = bits.Add64(sum, le.Uint64(b[56:]), carry)
		b = b[64:]
	}
	for len(b) >= 8 {
		sum, carry = bits.Add64(sum, le.Uint64(b), carry)
		b = b[8:]
	}
	var tail [8]byte // an odd last byte counts as if a zero followed it
	copy(tail[:], b)
	sum, carry = bits.Add64(sum, le.Uint64(tail[:]), carry)
	return bits.ReverseBytes16(fold(sum, carry))
}

// PseudoHeaderSum returns the sum of the pseudo-header that covers a TCP, UDP or ICMPv6 message of
// length bytes, header included (RFC 9293 §3.1, RFC 8200 §8.1). src and dst are addresses as they
// stand in the IP header, 4 or 16 bytes.
func PseudoHeaderSum(protocol uint8, src, dst []byte, length int) uint16 {
	sum := uint64(Checksum(dst, Checksum(src, 0)))
	return fold(sum+uint64(protocol)+uint64(length), 0)
}

// UpdateChecksum returns the checksum field of a header in which a 16-bit word at an even offset
// changes from old to new (RFC 1624 §3, equation 3).
func UpdateChecksum(field, old, new uint16) uint16 {
	return ^fold(uint64(^field)+uint64(^old)+uint64(new), 0)
}

// fold adds the parts of a ones' complement sum until 16 bits are left.
func fold(sum, carry uint64) uint16 {
	sum, carry = bits.Add64(sum, 0, carry)
	sum += carry
	sum = sum>>32 + sum&0xffffffff
	sum = sum>>32 + sum&0xffffffff
	sum = sum>>16 + sum&0xffff
	sum = sum>>16 + sum&0xffff
	return uint16(sum)
}
