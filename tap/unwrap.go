package tap

import (
	"encoding/binary"

	"syntap/tun"
	"syntap/tun/packet"
)

// unwrap takes the extension headers out of an IPv6 frame that holds TCP, since the router knows no
// others than those of datagrams: a host that had them would accept the segment all the same. They
// are those that Parse finds no problem with: options that may be skipped, a routing header without
// segments left, the header of an atomic fragment.
func unwrap(f *tun.Frame) {
	const payloadLength, nextHeader = 4, 6
	cut := f.Headers.Offset - packet.IPv6HeaderLen
	copy(f.Head[packet.IPv6HeaderLen:], f.Head[f.Headers.Offset:])
	n := f.Len() - cut
	if len(f.Body) > 0 {
		moved := copy(f.Head[len(f.Head)-cut:], f.Body)
		copy(f.Body, f.Body[moved:])
	}
	f.Truncate(n)
	f.Head[nextHeader] = packet.ProtoTCP
	binary.BigEndian.PutUint16(f.Head[payloadLength:], uint16(n-packet.IPv6HeaderLen))
	f.Offload.CsumStart -= min(f.Offload.CsumStart, uint16(cut))
	f.Offload.HdrLen -= min(f.Offload.HdrLen, uint16(cut))
	f.Parse()
}
