//go:build linux

package stack

import (
	"encoding/binary"
	"net/netip"

	"syntap/tun"
	"syntap/tun/packet"
)

// run is what has been received from one far end and is not yet written: datagrams in a row, all of
// one length but the last, which may be shorter. They go to the client as one super-frame; the
// kernel cuts it, for less than one frame each.
type run struct {
	from    netip.AddrPort // the zero value = there is none
	marks   marks
	at, end int // in inbound.buf
	segment int // the length
}

func (r *run) several() bool { return r.end-r.at > r.segment }

func (r *run) datagrams() int {
	if r.segment == 0 {
		return 1
	}
	return (r.end - r.at + r.segment - 1) / r.segment
}

// Limits of a super-frame: its payload, and its datagrams (UDP_MAX_SEGMENTS of kernels before 6.9).
const (
	maxRun         = 1<<16 - 1 - headroom
	maxRunSegments = 64
)

// gather adds the n bytes just received from a far end behind the run: a datagram, or several that
// came as one (UDP_GRO).
func (m *mapping) gather(in *inbound, n int, from netip.AddrPort) {
	segment := n
	if in.segment > 0 {
		segment = min(n, in.segment)
	}
	r := &in.run
	at := r.end
	fits := segment == r.segment || segment == n && n < r.segment
	if !fits || n == 0 || from != r.from || in.marks != r.marks || at+n-r.at > min(maxRun, r.segment*maxRunSegments) {
		m.flush(in)
		*r = run{from: from, marks: in.marks, at: at, segment: segment}
	}
	r.end = at + n
	if ended := n == 0 || (r.end-r.at)%r.segment != 0; ended || r.end > headroom+maxRun {
		m.flush(in)
	}
}

// flush writes the run, if there is one, to the client.
func (m *mapping) flush(in *inbound) {
	r, n, client := in.run, m.nat, m.key.client
	in.run = run{at: headroom, end: headroom}
	if !r.from.IsValid() {
		return
	}
	if r.from.Addr().Is4() != client.Addr().Is4() || client.Addr().Is4() && r.end-r.at > 1<<16-1-20-udpHeaderLen {
		n.stats.InboundErrors.Add(1) // a stranger's of the other family, or too long for this one
		return
	}
	n.table.heard(m, r.datagrams(), in.now)
	m.noteSent(r.from, ipHeaderLen(client.Addr())+udpHeaderLen+r.segment)
	if r.several() && r.segment <= n.largestSegment(client.Addr()) && n.writeUDP(in, r, client) == nil {
		return
	}
	// One by one: there is only one, or each may have to be fragmented, or the kernel does not cut
	// UDP (before Linux 6.2).
	for one := r; ; one.at = one.end {
		one.end = min(one.at+r.segment, r.end)
		if n.writeOne(in, one, client) != nil {
			n.stats.InboundErrors.Add(1)
		}
		if one.end == r.end {
			return
		}
	}
}

// largestSegment returns the payload of the largest datagrams that reach a client in one piece.
func (n *nat) largestSegment(client netip.Addr) int {
	mtu := n.o.MTU
	if client.Is6() && mtu > minPathMTU6 {
		mtu = min(mtu, n.router.ClientMTU(client))
	}
	return mtu - headroom
}

// writeOne writes a run of one datagram to a client, in fragments where it has to be (writeWhole).
func (n *nat) writeOne(in *inbound, r run, to netip.AddrPort) error {
	if length := r.end - r.at + headroom; to.Addr().Is4() || length <= minPathMTU6 || length <= n.router.ClientMTU(to.Addr()) {
		return n.writeUDP(in, r, to)
	}
	b := in.putUDP(r, to)
	u := b[40:]
	sum := ^packet.Checksum(u, 0) // the field holds the pseudo-header's
	if sum == 0 {
		sum = 0xffff // RFC 8200 §8.1
	}
	binary.BigEndian.PutUint16(u[6:], sum)
	n.writeWhole(in, b, to.Addr())
	return nil
}

// writeUDP writes a run to a client. The headers overwrite what stands before it: headroom, or
// bytes already written.
func (n *nat) writeUDP(in *inbound, r run, to netip.AddrPort) error {
	hdrLen := ipHeaderLen(to.Addr()) + udpHeaderLen
	b := in.putUDP(r, to)
	off := tun.Offload{Flags: tun.NeedsCsum, CsumStart: uint16(hdrLen - udpHeaderLen), CsumOffset: 6}
	if r.several() {
		off.GSO, off.GSOSize, off.HdrLen = tun.GSOUDP, uint16(r.segment), uint16(hdrLen)
		in.ipID += uint16((r.end - r.at) / r.segment) // the kernel counts on from the first
	}
	return n.router.WriteInbound(off, in.bufs(b))
}

// putUDP writes the header of the UDP message that b holds, without a checksum.
func putUDP(b []byte, from, to netip.AddrPort) {
	binary.BigEndian.PutUint16(b[0:], from.Port())
	binary.BigEndian.PutUint16(b[2:], to.Port())
	binary.BigEndian.PutUint16(b[4:], uint16(len(b)))
}

// putUDP writes the headers of a run's packet, with a checksum of the pseudo-header alone.
func (in *inbound) putUDP(r run, to netip.AddrPort) (b []byte) {
	hdrLen := ipHeaderLen(to.Addr()) + udpHeaderLen
	b = in.buf[r.at-hdrLen : r.end]
	in.putIP(b, r.from.Addr(), to.Addr(), protoUDP, r.marks)
	u := b[hdrLen-udpHeaderLen:]
	putUDP(u, r.from, to)
	src, dst := (&ipHeader{v6: to.Addr().Is6()}).addrs(b)
	binary.BigEndian.PutUint16(u[6:], packet.PseudoHeaderSum(protoUDP, src, dst, len(u)))
	return b
}
