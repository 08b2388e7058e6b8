//go:build linux

package nat

import (
	"encoding/binary"
	"net/netip"

	"syntap/tun"
	"syntap/tun/packet"
)

// run is datagrams in a row from one far end that are not yet written, all of one length but the
// last, which may be shorter. They go to the client as one GSO packet; the kernel cuts it, for less
// than the cost of one frame each.
type run struct {
	from    netip.AddrPort // the zero value for none
	marks   marks
	at, end int // in replies.buf
	segment int // the length
}

func (r *run) several() bool { return r.end-r.at > r.segment }

func (r *run) datagrams() int {
	if r.segment == 0 {
		return 1
	}
	return (r.end - r.at + r.segment - 1) / r.segment
}

// gather adds the n bytes just received from a far end to the run behind which they lie: a
// datagram, or several that came as one (UDP_GRO).
func (r *replies) gather(m *mapping, n int, from netip.AddrPort) {
	segment := n
	if r.msg.segment > 0 {
		segment = min(n, r.msg.segment)
	}
	at, as := r.run.end, r.msg.marks
	fits := segment == r.run.segment || segment == n && n < r.run.segment
	room := min(maxPayload, r.run.segment*maxDatagrams)
	if !fits || n == 0 || from != r.run.from || as != r.run.marks || at+n-r.run.at > room {
		r.flush(m)
		r.run = run{from: from, marks: as, at: at, segment: segment}
	}
	r.run.end = at + n
	ended := n == 0 || (r.run.end-r.run.at)%r.run.segment != 0
	if ended || r.run.end > headroom+maxPayload {
		r.flush(m)
	}
}

// flush writes the run, if there is one, to the client.
func (r *replies) flush(m *mapping) {
	run, client := r.run, m.key.client.AddrPort
	r.reset()
	if !run.from.IsValid() {
		return
	}
	ipLen := packet.HeaderLen(client.Addr())
	if run.from.Addr().Is4() != client.Addr().Is4() ||
		client.Addr().Is4() && ipLen+packet.UDPHeaderLen+run.end-run.at > 1<<16-1 {
		r.stats.DropInbound.Add(1) // unasked, from the other family, or too long for this one
		return
	}
	r.table.heard(m, run.datagrams(), r.now)
	if m.recorder != nil {
		r.record(m, run)
	}
	m.noteLarge(run.from, ipLen+packet.UDPHeaderLen+run.segment)
	asOne := run.several() && run.segment <= r.largestSegment(client.Addr())
	if asOne && r.writeUDP(run, client) == nil {
		return
	}
	// One by one: there is only one, or each may have to be fragmented, or the kernel does not cut
	// UDP (before Linux 6.2).
	for one := run; ; one.at = one.end {
		one.end = min(one.at+run.segment, run.end)
		r.writeOne(one, client)
		if one.end == run.end {
			return
		}
	}
}

func (r *replies) reset() { r.run = run{at: headroom, end: headroom} }

// largestSegment returns the payload of the longest datagrams that reach a client in one piece.
func (r *replies) largestSegment(client netip.Addr) int {
	mtu := r.o.MTU
	if client.Is6() && mtu > minMTU6 {
		mtu = min(mtu, r.router.ClientMTU(client))
	}
	return mtu - headroom
}

// writeOne writes a run of one datagram to a client, in fragments where it is IPv6 and longer than
// the client's path takes.
func (r *replies) writeOne(one run, to netip.AddrPort) {
	length := headroom + one.end - one.at
	whole := to.Addr().Is4() || length <= minMTU6 || length <= r.router.ClientMTU(to.Addr())
	if whole {
		if r.writeUDP(one, to) != nil {
			r.stats.DropInbound.Add(1)
		}
		return
	}
	b := r.putUDP(one, to)
	u := b[packet.IPv6HeaderLen:]
	sum := ^packet.Checksum(u, 0) // the field holds the pseudo-header's
	if sum == 0 {
		sum = 0xffff // RFC 8200 §8.1
	}
	binary.BigEndian.PutUint16(u[6:], sum)
	r.writeWhole(b, to.Addr())
}

// writeUDP writes a run to a client. The headers overwrite the bytes before it: headroom, or
// datagrams that have been written.
func (r *replies) writeUDP(run run, to netip.AddrPort) error {
	ipLen := packet.HeaderLen(to.Addr())
	b := r.putUDP(run, to)
	off := tun.Offload{Flags: tun.NeedsCsum, CsumStart: uint16(ipLen), CsumOffset: 6}
	if run.several() {
		off.GSO, off.GSOSize = tun.GSOUDP, uint16(run.segment)
		off.HdrLen = uint16(ipLen + packet.UDPHeaderLen)
		r.ipID += uint16((run.end - run.at) / run.segment) // the kernel counts on from the first
	}
	return r.write(off, b)
}

// putUDP writes the headers of a run, with a checksum of the pseudo-header alone.
func (r *replies) putUDP(run run, to netip.AddrPort) (b []byte) {
	ipLen := packet.HeaderLen(to.Addr())
	b = r.buf[run.at-ipLen-packet.UDPHeaderLen : run.end]
	r.putIP(b, run.from.Addr(), to.Addr(), packet.ProtoUDP, run.marks)
	u := b[ipLen:]
	putUDP(u, run.from, to)
	h := packet.Headers{Version: 4}
	if to.Addr().Is6() {
		h.Version = 6
	}
	src, dst := h.Addrs(b)
	binary.BigEndian.PutUint16(u[6:], packet.PseudoHeaderSum(packet.ProtoUDP, src, dst, len(u)))
	return b
}
