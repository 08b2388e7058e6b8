//go:build linux

package nat

import (
	"bytes"

	"syntap/tun"
	"syntap/tun/packet"
)

// burst is a run of datagrams that a client sends to one destination, all of one length but the
// last, which may be shorter. A client that does not use segmentation sends them one by one; they
// leave as one GSO packet, since the way through the host costs more than all else. A burst ends
// when another frame comes or the link has nothing more to read, so no datagram waits for another.
type burst struct {
	buf     []byte // the first packet with its headers, and the payload of the others behind it
	n       int    // bytes in buf; 0 for none
	headers packet.Headers
	marks   marks
	segment int // payload bytes of each
	count   int
	out     tun.Frame
}

func newBurst() *burst { return &burst{buf: make([]byte, headroom+maxPayload)} }

// Limits of a GSO packet: its payload in bytes, and its datagrams (UDP_MAX_SEGMENTS of kernels
// before 6.9).
const (
	maxPayload   = 1<<16 - 1 - headroom
	maxDatagrams = 64
)

// headroom is the length of the longest headers that the router writes.
const headroom = packet.IPv6HeaderLen + packet.UDPHeaderLen

// join adds a datagram, if it continues the burst or begins one.
func (b *burst) join(f *Frame) bool {
	start := f.Headers.Offset + packet.UDPHeaderLen
	payload := f.Headers.Length - start
	length, segment, ok := f.udpLength()
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
		b.headers, b.marks, b.segment, b.count = f.Headers, f.marks(), payload, 0
	}
	head, body := f.slice(from, f.Headers.Length)
	b.n += copy(b.buf[b.n:], head)
	b.n += copy(b.buf[b.n:], body)
	b.count++
	return true
}

// continues reports whether a datagram has the ends and marks of those before it.
func (b *burst) continues(f *Frame) bool {
	if f.Headers.Version != b.headers.Version || f.Headers.Offset != b.headers.Offset ||
		f.Headers.SrcPort != b.headers.SrcPort || f.Headers.DstPort != b.headers.DstPort {
		return false
	}
	src, dst := b.headers.Addrs(b.buf)
	src2, dst2 := f.Headers.Addrs(f.Head)
	return bytes.Equal(src, src2) && bytes.Equal(dst, dst2) && b.marks == f.marks()
}

// full reports whether no datagram can follow: the last was shorter, or the kernel takes no more.
func (b *burst) full() bool {
	whole := b.headers.Offset + packet.UDPHeaderLen + b.count*b.segment
	return b.count == maxDatagrams || b.n < whole
}

// frame returns the burst as the client's kernel would have made it with segmentation, and empties
// it. The frame is valid until the next join.
func (b *burst) frame() Frame {
	n := min(b.n, tun.HeadSize)
	b.out = tun.Frame{Head: b.buf[:n], Body: b.buf[n:b.n], Headers: b.headers}
	b.out.Headers.Length = b.n
	if b.count > 1 {
		b.out.Offload = tun.Offload{GSO: tun.GSOUDP, GSOSize: uint16(b.segment)}
	}
	b.n = 0
	return Frame{Frame: &b.out, joined: b.count - 1}
}

// JoinBursts has datagrams that clients send one by one leave as GSO packets. The caller calls
// Flush when it has no more frames to read, and before it carries other frames.
func (n *NAT) JoinBursts() { n.burst = newBurst() }
