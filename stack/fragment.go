//go:build linux

package stack

import (
	"encoding/binary"
	"math/rand/v2"
)

// fragmentHeaderLen is the size of IPv6's fragment header (RFC 8200 §4.5).
const fragmentHeaderLen = 8

const protoFragment = 44

// fragments6 cuts an IPv6 packet without extension headers, whose checksum is right, into fragments
// of at most mtu bytes. In IPv6 nobody but the source does that, and for clients that is us.
func fragments6(packet []byte, mtu int) (all [][]byte) {
	const header = 40
	proto, payload := packet[6], packet[header:]
	id := rand.Uint32() // hard to guess (RFC 7739)
	size := (mtu - header - fragmentHeaderLen) &^ 7
	for at := 0; at < len(payload); at += size {
		end := min(at+size, len(payload))
		b := make([]byte, header+fragmentHeaderLen, header+fragmentHeaderLen+end-at)
		copy(b, packet[:header])
		binary.BigEndian.PutUint16(b[4:], uint16(fragmentHeaderLen+end-at))
		b[6] = protoFragment
		f := b[header:]
		f[0] = proto
		offset := uint16(at)
		if end < len(payload) {
			offset |= 1 // more fragments
		}
		binary.BigEndian.PutUint16(f[2:], offset)
		binary.BigEndian.PutUint32(f[4:], id)
		all = append(all, append(b, payload[at:end]...))
	}
	return all
}
