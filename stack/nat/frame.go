//go:build linux

package nat

import (
	"encoding/binary"
	"net/netip"
	"sync/atomic"
	"time"

	"syntap/tun"
	"syntap/tun/packet"
)

// Frame is an outbound frame: a datagram or echo request of a client, or a GSO packet, which stands
// for several datagrams.
type Frame struct {
	*tun.Frame       // its headers are Plain
	Reassembled bool // the client had fragmented it

	joined int           // frames behind the first, of a burst
	now    time.Duration // when it came, on the table's clock
}

func (f *Frame) v6() bool { return f.Headers.Version == 6 }

// drop counts a frame that goes no further.
func (f *Frame) drop(reason *atomic.Uint64) { reason.Add(uint64(1 + f.joined)) }

// slice returns the bytes of a frame from one offset to another, in the two pieces that they lie
// in.
func (f *Frame) slice(from, to int) (head, body []byte) {
	n := len(f.Head)
	return f.Head[min(from, n):min(to, n)], f.Body[max(0, from-n):max(0, to-n)]
}

// udpLength returns the length of the UDP message and, for a GSO packet, that of the payload of
// each of its datagrams but the last.
func (f *Frame) udpLength() (length, segment int, ok bool) {
	u := f.Head[f.Headers.Offset:]
	if len(u) < packet.UDPHeaderLen {
		return 0, 0, false
	}
	most := f.Headers.Length - f.Headers.Offset
	if f.Offload.GSO == tun.GSOUDP {
		length, segment = most, int(f.Offload.GSOSize)
		ok = segment > 0 && packet.UDPHeaderLen <= length && length <= segment*maxSegments
		return length, segment, ok
	}
	length = int(binary.BigEndian.Uint16(u[4:]))
	return length, 0, packet.UDPHeaderLen <= length && length <= most
}

// maxSegments is the most datagrams that the kernel puts into a GSO packet (UDP_MAX_SEGMENTS).
const maxSegments = 128

// datagrams returns the number of datagrams, or echo requests, that a frame holds.
func (f *Frame) datagrams() int {
	if f.Offload.GSO != tun.GSOUDP || f.Offload.GSOSize == 0 {
		return 1
	}
	payload := f.Headers.Length - f.Headers.Offset - packet.UDPHeaderLen
	segment := int(f.Offload.GSOSize)
	return (payload + segment - 1) / segment
}

// endpoint is an address and port or, for echoes, an address and identifier.
type endpoint struct {
	netip.AddrPort
	echo bool
}
