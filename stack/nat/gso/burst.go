package gso

import (
	"bytes"

	"syntap/tun"
	"syntap/tun/packet"
)

// Burst is a run of datagrams that a client sends to one destination, all of one length but the
// last, which may be shorter. A client that does not use segmentation sends them one by one; they
// leave as one GSO packet, since the way through the host costs more than all else. A burst ends
// when another frame comes or the link has nothing more to read, so no datagram waits for another.
type Burst struct {
	buf     []byte // the first packet with its headers, and the payload of the others behind it
	n       int    // bytes in buf; 0 for none
	headers packet.Headers
	marks   packet.Marks
	segment int // payload bytes of each
	count   int
	out     tun.Frame
}

// NewBurst returns an empty burst.
func NewBurst() *Burst { return &Burst{buf: make([]byte, Headroom+MaxPayload)} }

// Limits of a GSO packet: its payload in bytes, and its datagrams (UDP_MAX_SEGMENTS of kernels
// before 6.9).
const (
	MaxPayload   = 1<<16 - 1 - Headroom
	MaxDatagrams = 64
)

// Headroom is the length of the longest headers that the router writes.
const Headroom = packet.IPv6HeaderLen + packet.UDPHeaderLen

// Join adds a datagram, if it continues the burst or begins one.
func (b *Burst) Join(f *Frame) bool {
	start := f.Headers.Offset + packet.UDPHeaderLen
	payload := f.Headers.Length - start
	length, segment, ok := f.UDPLength()
	exact := ok && segment == 0 && length == packet.UDPHeaderLen+payload // neither GSO nor trailer
	if !exact || f.Reassembled || payload == 0 {
		return false
	}
	from := 0
	if b.n > 0 {
		if payload > b.segment || b.n+payload > len(b.buf) || !b.continues(f) {
			return false
		}
		from = start
	} else {
		if f.Headers.Length > len(b.buf) {
			return false
		}
		b.headers, b.marks, b.segment, b.count = f.Headers, f.Marks(), payload, 0
	}
	head, body := f.Slice(from, f.Headers.Length)
	b.n += copy(b.buf[b.n:], head)
	b.n += copy(b.buf[b.n:], body)
	b.count++
	return true
}

// continues reports whether a datagram has the ends and marks of those before it.
func (b *Burst) continues(f *Frame) bool {
	if f.Headers.Version != b.headers.Version || f.Headers.Offset != b.headers.Offset ||
		f.Headers.SrcPort != b.headers.SrcPort || f.Headers.DstPort != b.headers.DstPort {
		return false
	}
	src, dst := b.headers.Addrs(b.buf)
	src2, dst2 := f.Headers.Addrs(f.Head)
	return bytes.Equal(src, src2) && bytes.Equal(dst, dst2) && b.marks == f.Marks()
}

// Empty reports whether a burst has no datagram.
func (b *Burst) Empty() bool { return b.n == 0 }

// Full reports whether no datagram can follow: the last was shorter, or the kernel takes no more.
func (b *Burst) Full() bool {
	whole := b.headers.Offset + packet.UDPHeaderLen + b.count*b.segment
	return b.count == MaxDatagrams || b.n < whole
}

// Frame returns the burst as the client's kernel would have made it with segmentation, and empties
// it. The frame is valid until the next Join.
func (b *Burst) Frame() Frame {
	n := min(b.n, tun.HeadSize)
	b.out = tun.Frame{Head: b.buf[:n], Body: b.buf[n:b.n], Headers: b.headers}
	b.out.Headers.Length = b.n
	if b.count > 1 {
		b.out.Offload = tun.Offload{GSO: tun.GSOUDP, GSOSize: uint16(b.segment)}
	}
	b.n = 0
	return Frame{Frame: &b.out, joined: b.count - 1}
}
