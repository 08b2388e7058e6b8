package tap

import (
	"encoding/binary"

	"syntap/tun"
	"syntap/tun/packet"
)

// unwrap takes the extension headers out of an IPv6 packet of n bytes that holds TCP, since the
// router knows no others than those of datagrams: a host that had them would go on with the segment
// all the same. They are what the walk has accepted: options that may be skipped, a routing header
// without segments left, the header of an atomic fragment. It returns the packet's length after
// that.
func (s *segment) unwrap(head, body []byte, n int, off *tun.Offload) int {
	const header, payloadLength, nextHeader = 40, 4, 6
	if s.Version != 6 || s.Offset == header {
		return n
	}
	cut := s.Offset - header
	first := min(n, len(head))
	copy(head[header:], head[s.Offset:first])
	if rest := n - first; rest > 0 {
		moved := copy(head[first-cut:first], body[:rest])
		copy(body, body[moved:rest])
	}
	n -= cut
	head[nextHeader] = packet.ProtoTCP
	binary.BigEndian.PutUint16(head[payloadLength:], uint16(n-header))
	off.CsumStart -= min(off.CsumStart, uint16(cut))
	off.HdrLen -= min(off.HdrLen, uint16(cut))
	return n
}
