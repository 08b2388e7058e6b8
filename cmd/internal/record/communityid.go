package record

import (
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"net/netip"
)

// appendCommunityID appends the Community ID v1 of a TCP flow with seed 0: a hash by which other
// tools name the same flow, whichever end they call the first
// (github.com/corelight/community-id-spec).
func appendCommunityID(dst []byte, a, b netip.AddrPort) []byte {
	if b.Compare(a) < 0 {
		a, b = b, a
	}
	const protocolTCP = 6
	var buf [2 + 16 + 16 + 2 + 4]byte
	m := binary.BigEndian.AppendUint16(buf[:0], 0) // seed
	m = appendAddr(m, a.Addr())
	m = appendAddr(m, b.Addr())
	m = append(m, protocolTCP, 0)
	m = binary.BigEndian.AppendUint16(m, a.Port())
	m = binary.BigEndian.AppendUint16(m, b.Port())
	sum := sha1.Sum(m)
	return base64.StdEncoding.AppendEncode(append(dst, "1:"...), sum[:])
}

// appendAddr appends the bytes of an address as they stand in a packet.
func appendAddr(dst []byte, a netip.Addr) []byte {
	if a.Is4() {
		b := a.As4()
		return append(dst, b[:]...)
	}
	b := a.As16()
	return append(dst, b[:]...)
}
