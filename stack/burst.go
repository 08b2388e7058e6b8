//go:build linux

package stack

import (
	"bytes"

	"syntap/tun"
)

// burst is datagrams that a client has sent in a row to one destination, all of one length but the
// last, which may be shorter. They are read one by one, since a client that does not ask for
// segmentation sends them so, and leave as one super-frame: the way through the host costs more
// than all else. It ends when something else comes or the link has nothing more to read, so no
// datagram waits for another.
type burst struct {
	buf     []byte // the first packet with its headers, and the payload of the others behind it
	n       int    // bytes in buf; 0 = there is none
	ip      ipHeader
	segment int // payload bytes of each
	count   int
}

func newBurst() *burst { return &burst{buf: make([]byte, headroom+maxRun)} }

// join adds a datagram, if it continues the burst or begins one.
func (b *burst) join(f *frame) bool {
	payload := f.ip.total - f.ip.len - udpHeaderLen
	length, segment, ok := f.udpLength()
	if !ok || f.pieces || segment != 0 || length != udpHeaderLen+payload || payload == 0 {
		return false
	}
	from := 0
	if b.n > 0 {
		if payload > b.segment || b.n+payload > len(b.buf) || !b.continues(f) {
			return false
		}
		from = f.ip.len + udpHeaderLen
	} else {
		if f.ip.total > len(b.buf) {
			return false
		}
		b.ip, b.segment, b.count = f.ip, payload, 0
	}
	head, body := f.slice(from, f.ip.total)
	b.n += copy(b.buf[b.n:], head)
	b.n += copy(b.buf[b.n:], body)
	b.count++
	return true
}

// continues reports whether a datagram goes the same way as those before it.
func (b *burst) continues(f *frame) bool {
	first := b.buf[:f.ip.len+udpHeaderLen]
	src, dst := b.ip.addrs(first)
	src2, dst2 := f.ip.addrs(f.head)
	return f.ip.v6 == b.ip.v6 && f.ip.len == b.ip.len &&
		bytes.Equal(src, src2) && bytes.Equal(dst, dst2) &&
		bytes.Equal(first[b.ip.len:b.ip.len+4], f.head[f.ip.len:f.ip.len+4]) && // the ports
		(&frame{head: first, ip: b.ip}).marks() == f.marks()
}

// full reports whether nothing can follow: the last datagram was shorter, or the kernel takes no
// more.
func (b *burst) full() bool {
	return b.count == maxRunSegments || b.n < b.ip.len+udpHeaderLen+b.count*b.segment
}

// frame returns the burst as the client's kernel would have made it with segmentation, and empties
// it.
func (b *burst) frame() *frame {
	n := min(b.n, tun.HeadSize)
	f := &frame{head: b.buf[:n], body: b.buf[n:b.n], ip: b.ip, more: b.count - 1}
	f.ip.total = b.n
	if b.count > 1 {
		f.off = tun.Offload{GSO: tun.GSOUDP, GSOSize: uint16(b.segment)}
	}
	b.n = 0
	return f
}

// flush sends the burst on.
func (n *nat) flush() {
	if n.burst != nil && n.burst.n > 0 {
		n.sendUDP(n.burst.frame())
	}
}
