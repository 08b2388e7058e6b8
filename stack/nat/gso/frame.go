package gso

import (
	"encoding/binary"
	"sync/atomic"

	"syntap/tun"
	"syntap/tun/packet"
)

// Frame is an outbound frame: a datagram or echo request of a client, or a GSO packet, which stands
// for several datagrams.
type Frame struct {
	*tun.Frame       // its headers are Plain
	Reassembled bool // the client had fragmented it

	joined int // frames behind the first, of a burst
}

// V6 reports whether a frame is of IPv6.
func (f *Frame) V6() bool { return f.Headers.Version == 6 }

// Marks returns the marks of a frame.
func (f *Frame) Marks() packet.Marks {
	if f.V6() {
		tos := f.Head[0]<<4 | f.Head[1]>>4
		return packet.Marks{HopLimit: f.Head[7], TOS: tos, Whole: !f.Reassembled}
	}
	return packet.Marks{HopLimit: f.Head[8], TOS: f.Head[1], Whole: f.Head[6]&0x40 != 0}
}

// Drop counts a frame that goes no further.
func (f *Frame) Drop(reason *atomic.Uint64) { reason.Add(uint64(1 + f.joined)) }

// Slice returns the bytes of a frame from one offset to another, in the two pieces that they lie
// in.
func (f *Frame) Slice(from, to int) (head, body []byte) {
	n := len(f.Head)
	return f.Head[min(from, n):min(to, n)], f.Body[max(0, from-n):max(0, to-n)]
}

// UDPLength returns the length of the UDP message and, for a GSO packet, that of the payload of
// each of its datagrams but the last.
func (f *Frame) UDPLength() (length, segment int, ok bool) {
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

// Datagrams returns the number of datagrams, or echo requests, that a frame holds.
func (f *Frame) Datagrams() int {
	if f.Offload.GSO != tun.GSOUDP || f.Offload.GSOSize == 0 {
		return 1
	}
	payload := f.Headers.Length - f.Headers.Offset - packet.UDPHeaderLen
	segment := int(f.Offload.GSOSize)
	return (payload + segment - 1) / segment
}

// Payload returns the number of bytes that the datagrams or the echo request of a frame hold.
func (f *Frame) Payload() int {
	length := f.Headers.Length - f.Headers.Offset
	if f.Headers.Proto == packet.ProtoUDP {
		length, _, _ = f.UDPLength()
	}
	return length - packet.UDPHeaderLen // that of ICMP is as long
}

// Segment returns the number of bytes that each datagram of a frame holds, but the last.
func (f *Frame) Segment() int {
	if n := f.Payload(); f.Offload.GSO != tun.GSOUDP || n < int(f.Offload.GSOSize) {
		return n
	}
	return int(f.Offload.GSOSize)
}

// Datagram returns the payload of the nth datagram of a frame, in one piece: part of the frame, or
// of room, which may be replaced by a larger one.
func (f *Frame) Datagram(n int, room *[]byte) []byte {
	start, segment := f.Headers.Offset+packet.UDPHeaderLen, f.Segment()
	from, to := start+n*segment, start+min((n+1)*segment, f.Payload())
	head, body := f.Slice(from, to)
	if len(body) == 0 {
		return head
	}
	*room = append(append((*room)[:0], head...), body...)
	return *room
}

// Clone returns a copy that stays when the buffers of the frame are used again.
func (f *Frame) Clone() Frame {
	b := make([]byte, f.Headers.Length)
	head, body := f.Slice(0, len(b))
	n := copy(b, head)
	copy(b[n:], body)
	whole := &tun.Frame{Head: b[:n:n], Body: b[n:], Offload: f.Offload, Headers: f.Headers}
	return Frame{Frame: whole, Reassembled: f.Reassembled, joined: f.joined}
}

// Cut returns the datagrams of a GSO packet as frames of their own.
func (f *Frame) Cut() (all []Frame) {
	length, segment, _ := f.UDPLength()
	start, end := f.Headers.Offset+packet.UDPHeaderLen, f.Headers.Offset+length
	for at := start; at < end; at += segment {
		size := min(segment, end-at)
		b := make([]byte, 0, start+size)
		for _, part := range [][2]int{{0, start}, {at, at + size}} {
			head, body := f.Slice(part[0], part[1])
			b = append(append(b, head...), body...)
		}
		binary.BigEndian.PutUint16(b[f.Headers.Offset+4:], uint16(packet.UDPHeaderLen+size))
		n := min(len(b), tun.HeadSize)
		one := &tun.Frame{Head: b[:n:n], Body: b[n:], Headers: f.Headers}
		one.Headers.Length = len(b)
		all = append(all, Frame{Frame: one, Reassembled: f.Reassembled})
	}
	return all
}
