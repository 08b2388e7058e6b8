//go:build linux

package nat

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"syntap/stack/nat/gso"
	"syntap/stack/nat/hostsock"
	"syntap/tun"
	"syntap/tun/packet"
)

// replies brings clients the datagrams and echo replies that sockets receive. It belongs to the
// poller's goroutine.
type replies struct {
	nat *NAT

	msg  hostsock.Msghdr
	now  time.Duration // when the poller began with the socket, on the table's clock
	buf  []byte        // datagrams behind gso.Headroom, where their headers are put
	run  gso.Run       // in buf
	bufs [1][]byte     // of a frame
	ipID uint16        // of the last IPv4 packet
}

// newReplies has room for a run and, behind it, the longest datagram that a socket can bring.
func newReplies(n *NAT) *replies {
	r := &replies{nat: n, buf: make([]byte, gso.Headroom+gso.MaxPayload+1<<16)}
	r.reset()
	return r
}

// Ready implements sched.Watcher.
func (m *mapping) Ready(events uint32) { m.nat.replies.ready(m, events) }

// datagramsPerTurn bounds the datagrams that one socket brings before others have their turn.
const datagramsPerTurn = 64

// Interrupt coalescing, as in network cards: a socket that has brought coalesceAfter datagrams in a
// row is read once more after coalesceFor before the poller leaves it. The datagrams that arrive
// meanwhile go to the client in the same frame; a wake-up for each would cost more than everything
// else.
//
// The thread sleeps with its P (70 µs with the default timer slack), because a hand-over would cost
// as much as is saved. So it does not sleep while the router has other work. Without coalescing,
// iperf3 -u -R has a third to a half of the throughput on two busy cores.
const (
	coalesceAfter = 4
	coalesceFor   = 20 * time.Microsecond
)

// ready brings a client the datagrams and ICMP errors that have come for it.
func (r *replies) ready(m *mapping, events uint32) {
	if events&unix.EPOLLERR != 0 {
		m.relayErrors()
	}
	r.now = r.nat.table.Now()
	defer r.flush(m)
	coalesced := false
	for got := range datagramsPerTurn {
		n, errno := m.Receive(&r.msg, r.buf[r.run.End:], 0)
		if errno == unix.EAGAIN && m.busy && !coalesced && r.nat.router.Idle() {
			coalesced = true
			sleepThread(coalesceFor)
			n, errno = m.Receive(&r.msg, r.buf[r.run.End:], 0)
		}
		switch {
		case errno == unix.EAGAIN, errno == unix.EBADF: // empty, or closed
			m.busy = got >= coalesceAfter && !m.Echo
			m.settle()
			return
		case errno != 0:
			m.relayErrors()
		default:
			r.received(m, n)
		}
	}
	m.busy = !m.Echo
	m.mu.RLock()
	defer m.mu.RUnlock()
	if fd := m.FD(); fd >= 0 {
		m.weigh(fd)
		m.nat.poller.Rearm(fd)
	}
}

// sleepThread sleeps without the Go scheduler. A signal may end it early.
func sleepThread(d time.Duration) {
	t := unix.NsecToTimespec(int64(d))
	_, _, _ = syscall.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&t)), 0, 0)
}

// received takes the n bytes that a far end has just sent.
func (r *replies) received(m *mapping, n int) {
	r.msg.ReadControl()
	r.nat.stats.DropReceiveQueue.Add(m.NewlyLost(r.msg.Lost))
	if m.Echo {
		r.receivedEcho(m, gso.Headroom, gso.Headroom+n)
	} else if from, ok := r.admit(m, m.far(&r.msg)); ok {
		r.gather(m, n, from)
	} else {
		r.nat.stats.DropUninvited.Add(1)
	}
}

// receivedEcho takes the message in a part of buf that a far end has just sent.
func (r *replies) receivedEcho(m *mapping, at, end int) {
	if from, ok := r.admit(m, m.far(&r.msg)); ok {
		r.echo(m, at, end, from.Addr())
	} else {
		r.nat.stats.DropUninvited.Add(1)
	}
}

// admit returns the client's name for a far end that has sent to it, and whether it may. A mapping
// is open to the outside only: a client gets no datagrams from programs of this host, unless it has
// sent to them, and none from addresses that it may not send to.
func (r *replies) admit(m *mapping, far netip.AddrPort) (server netip.AddrPort, ok bool) {
	if server, ok = m.nameOf(far); ok {
		r.nat.dialer.Heard(server.Addr(), far.Addr())
		return server, true
	}
	if far == m.admitted && r.now-m.admittedAt < routeAge {
		return far, true
	}
	a := far.Addr()
	if a == m.Local || a.IsLoopback() || r.nat.o.OnHost(a) {
		return far, false
	}
	if !r.nat.dialer.Admits(m.Client.AddrPort, far) {
		return far, false
	}
	m.admitted, m.admittedAt = far, r.now
	return far, true
}

// gather adds the n bytes just received from a far end to the run behind which they lie: a
// datagram, or several that came as one (UDP_GRO).
func (r *replies) gather(m *mapping, n int, from netip.AddrPort) {
	segment := n
	if r.msg.Segment > 0 {
		segment = min(n, r.msg.Segment)
	}
	at, as := r.run.End, r.msg.Marks
	if !r.run.Takes(n, segment, from, as) {
		r.flush(m)
		r.run = gso.Run{From: from, Marks: as, At: at, Segment: segment}
	}
	r.run.End = at + n
	if r.run.Ended() || r.run.End > gso.Headroom+gso.MaxPayload {
		r.flush(m)
	}
}

// flush writes the run, if there is one, to the client.
func (r *replies) flush(m *mapping) {
	run, client := r.run, m.Client.AddrPort
	r.reset()
	if !run.From.IsValid() {
		return
	}
	ipLen := packet.HeaderLen(client.Addr())
	if run.From.Addr().Is4() != client.Addr().Is4() ||
		client.Addr().Is4() && ipLen+packet.UDPHeaderLen+run.End-run.At > 1<<16-1 {
		r.nat.stats.DropInbound.Add(1) // unsolicited, from the other family, or too long for this one
		return
	}
	r.nat.table.Heard(&m.Entry, run.Datagrams(), r.now)
	if m.nat.recorder != nil {
		r.record(m, run)
	}
	m.noteLarge(run.From, ipLen+packet.UDPHeaderLen+run.Segment)
	asOne := run.Several() && run.Segment <= r.largestSegment(client.Addr())
	if asOne && r.writeUDP(run, client) == nil {
		return
	}
	// One by one: there is only one, or each may have to be fragmented, or the kernel does not cut
	// UDP (before Linux 6.2).
	for one := run; ; one.At = one.End {
		one.End = min(one.At+run.Segment, run.End)
		r.writeOne(one, client)
		if one.End == run.End {
			return
		}
	}
}

func (r *replies) reset() { r.run = gso.Run{At: gso.Headroom, End: gso.Headroom} }

// largestSegment returns the payload of the longest datagrams that reach a client in one piece.
func (r *replies) largestSegment(client netip.Addr) int {
	mtu := r.nat.o.MTU
	if client.Is6() && mtu > minMTU6 {
		mtu = min(mtu, r.nat.router.ClientMTU(client))
	}
	return mtu - gso.Headroom
}

// writeOne writes a run of one datagram to a client, in fragments where it is IPv6 and longer than
// the client's path takes.
func (r *replies) writeOne(one gso.Run, to netip.AddrPort) {
	length := gso.Headroom + one.End - one.At
	whole := to.Addr().Is4() || length <= minMTU6 || length <= r.nat.router.ClientMTU(to.Addr())
	if whole {
		if r.writeUDP(one, to) != nil {
			r.nat.stats.DropInbound.Add(1)
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

// writeUDP writes a run to a client. The headers overwrite the bytes before it: gso.Headroom, or
// datagrams that have been written.
func (r *replies) writeUDP(run gso.Run, to netip.AddrPort) error {
	ipLen := packet.HeaderLen(to.Addr())
	b := r.putUDP(run, to)
	off := tun.Offload{Flags: tun.NeedsCsum, CsumStart: uint16(ipLen), CsumOffset: 6}
	if run.Several() {
		off.GSO, off.GSOSize = tun.GSOUDP, uint16(run.Segment)
		off.HdrLen = uint16(ipLen + packet.UDPHeaderLen)
		r.ipID += uint16((run.End - run.At) / run.Segment) // the kernel increments it for each packet
	}
	return r.write(off, b)
}

// putUDP writes the headers of a run, with a checksum of the pseudo-header alone.
func (r *replies) putUDP(run gso.Run, to netip.AddrPort) (b []byte) {
	ipLen := packet.HeaderLen(to.Addr())
	b = r.buf[run.At-ipLen-packet.UDPHeaderLen : run.End]
	r.putIP(b, run.From.Addr(), to.Addr(), packet.ProtoUDP, run.Marks)
	u := b[ipLen:]
	putUDP(u, run.From, to)
	h := packet.Headers{Version: 4}
	if to.Addr().Is6() {
		h.Version = 6
	}
	src, dst := h.Addrs(b)
	binary.BigEndian.PutUint16(u[6:], packet.PseudoHeaderSum(packet.ProtoUDP, src, dst, len(u)))
	return b
}

// putIP writes the header of a packet. Hosts behind this one may fragment an IPv4 packet: it has no
// DF, but an identification (RFC 6864 §4.1).
func (r *replies) putIP(b []byte, src, dst netip.Addr, proto uint8, as packet.Marks) {
	if dst.Is4() {
		r.ipID++
	}
	ip := packet.IP{
		Src: src, Dst: dst, Proto: proto, TOS: as.TOS, HopLimit: as.HopLimit, ID: r.ipID,
	}
	ip.Put(b)
}

// write writes a frame to a client.
func (r *replies) write(off tun.Offload, b []byte) error {
	r.bufs[0] = b
	return r.nat.router.WriteInbound(off, r.bufs[:])
}

// writeWhole writes a packet whose checksum is right, in fragments where it is IPv6 and longer than
// the client's path takes.
func (r *replies) writeWhole(b []byte, client netip.Addr) {
	pieces := [][]byte{b}
	if client.Is6() && len(b) > minMTU6 {
		if mtu := r.nat.router.ClientMTU(client); len(b) > mtu {
			pieces = fragments6(b, mtu)
		}
	}
	for _, p := range pieces {
		if r.write(tun.Offload{}, p) != nil {
			r.nat.stats.DropInbound.Add(1)
		}
	}
}
