//go:build linux

package stack

import (
	"encoding/binary"

	"syntap/tun/packet"
)

// maxSYN is how much of a SYN is kept, in bytes: its headers and one segment of data, as on an
// Ethernet.
const maxSYN = 1500

// keepSYN returns a copy of a SYN, in one piece. Data beyond maxSYN is left out: no SYN-ACK
// acknowledges it, so the client sends it again. The checksum of TCP is right only for what is
// whole; from here on nobody looks at it.
func keepSYN(frame [][]byte) []byte {
	size := 0
	for _, b := range frame {
		size += len(b)
	}
	var ip ipHeader
	if ip.parse(frame[0], size) {
		size = ip.total
	}
	syn := make([]byte, 0, min(size, maxSYN))
	for _, b := range frame {
		syn = append(syn, b[:min(len(b), cap(syn)-len(syn))]...)
	}
	if size <= maxSYN {
		return syn
	}
	if syn[0]>>4 == 6 {
		binary.BigEndian.PutUint16(syn[4:], maxSYN-40)
		return syn
	}
	head := syn[:int(syn[0]&15)*4]
	binary.BigEndian.PutUint16(head[2:], maxSYN)
	head[10], head[11] = 0, 0
	binary.BigEndian.PutUint16(head[10:], ^packet.Checksum(head, 0))
	return syn
}

// renumberSYN changes the initial sequence number of a SYN. The checksum does not follow.
func renumberSYN(syn []byte, isn uint32) {
	var ip ipHeader
	if ip.parse(syn, len(syn)) {
		binary.BigEndian.PutUint32(syn[ip.len+4:], isn)
	}
}
