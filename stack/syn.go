//go:build linux

package stack

import (
	"encoding/binary"

	"syntap/tun"
	"syntap/tun/packet"
)

// maxSYN is how much of a SYN is kept, in bytes: its headers and one segment of data, as on an
// Ethernet.
const maxSYN = 1500

// keepSYN returns a copy of the SYN in f, in one piece. Data beyond maxSYN is left out: no SYN-ACK
// acknowledges it, so the client sends it again. The TCP checksum of a truncated SYN is wrong. That
// is harmless: it has been verified, and netstack does not verify it.
func keepSYN(f *tun.Frame) []byte {
	h := &f.Headers
	syn := make([]byte, 0, min(h.Length, maxSYN))
	for _, b := range [][]byte{f.Head, f.Body} {
		syn = append(syn, b[:min(len(b), cap(syn)-len(syn))]...)
	}
	switch {
	case h.Length <= maxSYN:
	case h.Version == 6:
		binary.BigEndian.PutUint16(syn[4:], maxSYN-packet.IPv6HeaderLen)
	default:
		ip := syn[:h.HeaderLen]
		binary.BigEndian.PutUint16(ip[2:], maxSYN)
		ip[10], ip[11] = 0, 0
		binary.BigEndian.PutUint16(ip[10:], ^packet.Checksum(ip, 0))
	}
	return syn
}

// renumberSYN changes the initial sequence number of a SYN. The checksum does not follow.
func renumberSYN(syn []byte, isn uint32) {
	var h packet.Headers
	if h.Parse(syn, len(syn)); h.TCP {
		binary.BigEndian.PutUint32(syn[h.Offset+4:], isn)
	}
}
