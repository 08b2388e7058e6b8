//go:build linux

package stack

import (
	"encoding/binary"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"

	"syntap/tun"
)

const udpHeaderLen = 8 // RFC 768

// maxSegments is the most datagrams that the kernel puts into a super-frame (UDP_MAX_SEGMENTS).
const maxSegments = 128

// routeUDP sends a client's datagram on, alone or with others.
func (n *nat) routeUDP(f *frame) {
	if n.burst == nil {
		n.sendUDP(f)
		return
	}
	joined := n.burst.join(f)
	if !joined {
		n.flush()
		joined = n.burst.join(f)
	}
	switch {
	case !joined:
		n.sendUDP(f)
	case n.burst.full():
		n.flush()
	}
}

// sendUDP sends a datagram, or all those of a super-frame, by the host socket of the client's
// endpoint.
func (n *nat) sendUDP(f *frame) {
	length, segment, ok := f.udpLength()
	if !ok {
		n.stats.DropMalformed.Add(1)
		return
	}
	f.now = n.table.now()
	u := f.head[f.ip.len:]
	client, server := f.ip.src(f.head, u), f.ip.dst(f.head, u)
	target, ok := n.target(f, client.Addr(), server)
	if !ok {
		return
	}
	for again := true; ; again = false {
		m := n.mapping(f, client, false, target, server)
		if m == nil {
			return
		}
		m.noteTarget(target, server)
		errno := m.sendUDP(f, target, length, segment)
		if again && errno == unix.EINVAL && n.ways.forget(target) {
			continue // the address that it would leave from has gone
		}
		n.sent(f, target, errno)
		return
	}
}

// udpLength returns the length of the UDP message and, for a super-frame, that of the payload of
// each of its datagrams.
func (f *frame) udpLength() (length, segment int, ok bool) {
	u := f.head[f.ip.len:]
	if len(u) < udpHeaderLen {
		return 0, 0, false
	}
	most := f.ip.total - f.ip.len
	if f.off.GSO == tun.GSOUDP {
		length, segment = most, int(f.off.GSOSize)
		return length, segment, segment > 0 && udpHeaderLen <= length && length <= segment*maxSegments
	}
	length = int(binary.BigEndian.Uint16(u[4:]))
	return length, 0, udpHeaderLen <= length && length <= most
}

// datagrams returns how many a frame holds.
func (f *frame) datagrams() int {
	if f.off.GSO != tun.GSOUDP || f.off.GSOSize == 0 {
		return 1
	}
	return (f.ip.total - f.ip.len - udpHeaderLen + int(f.off.GSOSize) - 1) / int(f.off.GSOSize)
}

// sendUDP sends a frame's payload. Super-frames are cut by the kernel; where it will not, for
// instance because the path takes smaller packets only, one by one.
func (m *mapping) sendUDP(f *frame, to netip.AddrPort, length, segment int) syscall.Errno {
	from, end := f.ip.len+udpHeaderLen, f.ip.len+length
	out, as := &m.nat.out, f.marks()
	refused := false
	if segment > 0 && !m.singly {
		head, body := f.slice(from, end)
		errno := m.sendSurely(out, to, as, segment, head, body)
		if errno != unix.EINVAL && errno != unix.EMSGSIZE && errno != unix.EIO {
			return errno
		}
		refused = true
	}
	if segment == 0 {
		segment = max(1, end-from) // also an empty datagram is one
	}
	for {
		head, body := f.slice(from, min(from+segment, end))
		errno := m.sendSurely(out, to, as, 0, head, body)
		if from += segment; errno != 0 || from >= end {
			m.singly = m.singly || refused && errno == 0 // not where each of them is too long for the path
			return errno
		}
	}
}
