//go:build linux

package nat

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"syntap/stack/dial"
	"syntap/tun"
	"syntap/tun/packet"
)

// replies brings clients the datagrams and echo replies that sockets receive. It belongs to the
// poller's goroutine.
type replies struct {
	o      *Options
	router Router
	dialer *dial.Dialer
	stats  *Stats
	table  *table

	msg  msghdr
	now  time.Duration // when the poller began with the socket, on the table's clock
	buf  []byte        // datagrams behind headroom, where their headers are put
	run  run
	bufs [1][]byte // of a frame
	ipID uint16    // of the last IPv4 packet
}

// newReplies has room for a run and, behind it, the longest datagram that a socket can bring.
func newReplies(o *Options, router Router, dialer *dial.Dialer, stats *Stats, t *table) *replies {
	return &replies{
		o: o, router: router, dialer: dialer, stats: stats, table: t,
		buf: make([]byte, headroom+maxPayload+1<<16), run: run{at: headroom, end: headroom},
	}
}

// watcher is a mapping as the poller sees it.
type watcher struct {
	m *mapping
	r *replies
}

// Ready implements sched.Watcher.
func (w watcher) Ready(events uint32) { w.r.ready(w.m, events) }

// datagramsPerTurn bounds the datagrams that one socket brings before others have their turn.
const datagramsPerTurn = 64

// Interrupt coalescing, as network cards have it: a socket that has brought coalesceAfter datagrams
// in a row is read once more after coalesceFor before the poller leaves it. The datagrams that come
// meanwhile go to the client in the same frame; waking up for each costs more than all else.
//
// The thread sleeps with its P (70 µs with the default timer slack): a hand-over would cost as much
// as is saved. So it does not where the router has other work. Without coalescing, iperf3 -u -R has
// a third to a half of the throughput on two busy cores.
const (
	coalesceAfter = 4
	coalesceFor   = 20 * time.Microsecond
)

// ready brings a client the datagrams and ICMP errors that have come for it.
func (r *replies) ready(m *mapping, events uint32) {
	if events&unix.EPOLLERR != 0 {
		m.relayErrors()
	}
	r.now = r.table.now()
	defer r.flush(m)
	coalesced := false
	for got := range datagramsPerTurn {
		n, errno := m.receive(&r.msg, r.buf[r.run.end:], 0)
		if errno == unix.EAGAIN && m.busy && !coalesced && r.router.Idle() {
			coalesced = true
			sleepThread(coalesceFor)
			n, errno = m.receive(&r.msg, r.buf[r.run.end:], 0)
		}
		switch {
		case errno == unix.EAGAIN, errno == unix.EBADF: // empty, or closed
			m.busy = got >= coalesceAfter && !m.own.echo
			m.settle()
			return
		case errno != 0:
			m.relayErrors()
		default:
			r.received(m, n)
		}
	}
	m.busy = !m.own.echo
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.fd >= 0 {
		m.weigh()
		r.table.poller.Rearm(m.fd)
	}
}

// sleepThread sleeps without the Go scheduler. A signal may end it early.
func sleepThread(d time.Duration) {
	t := unix.NsecToTimespec(int64(d))
	_, _, _ = syscall.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&t)), 0, 0)
}

// received takes the n bytes that a far end has just sent.
func (r *replies) received(m *mapping, n int) {
	r.msg.readControl()
	m.noteLost(r.msg.lost)
	from, ok := r.admit(m, m.far(&r.msg))
	switch {
	case !ok:
		r.stats.DropUninvited.Add(1)
	case m.own.echo:
		r.echo(m, n, from.Addr())
	default:
		r.gather(m, n, from)
	}
}

// admit returns the client's name for a far end that has sent to it, if it may. A mapping is open
// to the outside: a client does not get datagrams that programs of this host send to each other,
// unless it has sent to them, nor datagrams from where it may not send.
func (r *replies) admit(m *mapping, far netip.AddrPort) (server netip.AddrPort, ok bool) {
	if server, ok = m.nameOf(far); ok {
		r.dialer.Heard(server.Addr(), far.Addr())
		return server, true
	}
	if far == m.admitted && r.now-m.admittedAt < routeAge {
		return far, true
	}
	a := far.Addr()
	if a == m.key.local || a.IsLoopback() || r.o.OnHost(a) {
		return far, false
	}
	if !r.dialer.Admits(m.key.client.AddrPort, far) {
		return far, false
	}
	m.admitted, m.admittedAt = far, r.now
	return far, true
}

// echo brings a client an echo reply of n bytes that a far end has just sent.
func (r *replies) echo(m *mapping, n int, from netip.Addr) {
	at, end := headroom, headroom+n
	typ := uint8(packet.ICMPEchoReply)
	if m.v6 {
		typ = packet.ICMPv6EchoReply
	} else if m.raw && n > 0 {
		at += int(r.buf[at]&15) * 4 // a raw IPv4 socket gives the IP header, too
	}
	if at+packet.ICMPHeaderLen > end || r.buf[at] != typ || echoIdent(r.buf[at:]) != m.own.Port() {
		return // it came before the raw socket had its filter
	}
	r.table.heard(m, 1, r.now)
	if m.recorder != nil {
		m.heard(netip.AddrPortFrom(from, 0), 1, end-at-packet.ICMPHeaderLen, r.now)
	}
	client, proto := m.key.client, icmpProto(m.v6)
	b, reply := r.buf[at-packet.HeaderLen(from):end], r.buf[at:end]
	r.putIP(b, from, client.Addr(), proto, r.msg.marks)
	binary.BigEndian.PutUint16(reply[4:], client.Port())
	binary.BigEndian.PutUint16(reply[2:], 0)
	sum := packet.TransportChecksum(proto, from, client.Addr(), reply)
	binary.BigEndian.PutUint16(reply[2:], sum)
	m.noteLarge(netip.AddrPortFrom(from, 0), len(b))
	r.writeWhole(b, client.Addr())
}

// putIP writes the header of a packet. Hosts behind this one may fragment an IPv4 packet: it has no
// DF, but an identification (RFC 6864 §4.1).
func (r *replies) putIP(b []byte, src, dst netip.Addr, proto uint8, as marks) {
	if dst.Is4() {
		r.ipID++
	}
	ip := packet.IP{
		Src: src, Dst: dst, Proto: proto, TOS: as.tos, HopLimit: as.hopLimit, ID: r.ipID,
	}
	ip.Put(b)
}

// write writes a frame to a client.
func (r *replies) write(off tun.Offload, b []byte) error {
	r.bufs[0] = b
	return r.router.WriteInbound(off, r.bufs[:])
}

// writeWhole writes a packet whose checksum is right, in fragments where it is IPv6 and longer than
// the client's path takes.
func (r *replies) writeWhole(b []byte, client netip.Addr) {
	pieces := [][]byte{b}
	if client.Is6() && len(b) > minMTU6 {
		if mtu := r.router.ClientMTU(client); len(b) > mtu {
			pieces = fragments6(b, mtu)
		}
	}
	for _, p := range pieces {
		if r.write(tun.Offload{}, p) != nil {
			r.stats.DropInbound.Add(1)
		}
	}
}
