//go:build linux

package nat

import (
	"encoding/binary"
	"math/rand/v2"

	"syntap/tun/packet"
)

// minMTU6 is the MTU that every link has in IPv6 (RFC 8200 §5).
const minMTU6 = 1280

// fragments6 cuts an IPv6 packet without extension headers, whose checksum is right, into fragments
// of at most mtu bytes. Only the source of a packet may do that (RFC 8200 §4.5); for clients the
// router is the source.
func fragments6(b []byte, mtu int) (all [][]byte) {
	const header = packet.IPv6HeaderLen
	proto, payload := b[6], b[header:]
	id := rand.Uint32() // hard to guess (RFC 7739)
	size := (mtu - header - packet.FragmentHeaderLen) &^ 7
	for at := 0; at < len(payload); at += size {
		piece := payload[at:min(at+size, len(payload))]
		const headers = header + packet.FragmentHeaderLen
		f := make([]byte, headers, headers+len(piece))
		copy(f, b[:header])
		binary.BigEndian.PutUint16(f[4:], uint16(packet.FragmentHeaderLen+len(piece)))
		f[6], f[header] = packet.ProtoFragment, proto
		offset := uint16(at)
		if at+len(piece) < len(payload) {
			offset |= 1 // more fragments
		}
		binary.BigEndian.PutUint16(f[header+2:], offset)
		binary.BigEndian.PutUint32(f[header+4:], id)
		all = append(all, append(f, piece...))
	}
	return all
}
