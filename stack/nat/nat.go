//go:build linux

package nat

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"syntap/stack/dial"
	"syntap/stack/sched"
	tunflow "syntap/tun/flow"
	"syntap/tun/packet"
)

// NAT carries the datagrams and echo requests of clients on by sockets of the host, and brings the
// answers back. Its methods UDP, Echo and Flush are for one goroutine, the read loop.
type NAT struct {
	o      Options
	router Router
	poller *sched.Poller
	dialer *dial.Dialer
	stats  *Stats
	table  *table

	// Owned by the read loop.
	routes  *routes
	source  netip.Addr    // the client that may send and has sent last
	sourced time.Duration // the time of that answer, on the table's clock
	out     msghdr
	burst   *burst // nil until JoinBursts
	unsent  *unsent
	rulings rulings
	message []byte // room for a datagram

	replies   *replies // owned by the poller
	identBase uint16   // of echoes by raw sockets; random, since other programs choose some, too
	noEchoes  sync.Once

	recorder *recorder // nil where flows are not recorded
}

// New returns a NAT without mappings. Serve ends the idle ones, Close all.
func New(router Router, poller *sched.Poller, dialer *dial.Dialer, stats *Stats, o Options) *NAT {
	o.setDefaults()
	t := newTable(&o, poller, stats)
	n := &NAT{
		o: o, router: router, poller: poller, dialer: dialer, stats: stats, table: t,
		routes: newRoutes(dialer), replies: newReplies(&o, router, dialer, stats, t),
		identBase: uint16(rand.Uint32()), unsent: newUnsent(t),
	}
	if o.Opened != nil {
		n.recorder = newRecorder(n)
	}
	return n
}

// SetLimits puts limits in force. No mapping ends because a limit is below their number.
func (n *NAT) SetLimits(l Limits) {
	l.setDefaults()
	n.table.setLimits(l)
}

// Serve ends idle mappings and flows, and sends what waited for a record, until Close.
func (n *NAT) Serve() {
	var all sync.WaitGroup
	all.Go(n.table.serve)
	if n.recorder != nil {
		all.Go(func() { n.recorder.serve(n.table.closed) })
	}
	all.Wait()
}

// Close ends all mappings. No frame may come after it, and no event until then may be lost: the
// poller ends later.
func (n *NAT) Close() {
	n.table.close()
	n.unsent = newUnsent(n.table)
	n.routes.kernel.Close()
}

// HasSent reports whether a client endpoint may have been sent a packet of size bytes from a far
// end. Of an echo, the identifier stands in for the client's port, and the far end has port 0. It
// may be called from any goroutine.
func (n *NAT) HasSent(from, client netip.AddrPort, echo bool, size int) bool {
	all := n.table.mappingsOf(endpoint{client, echo})
	return slices.ContainsFunc(all, func(m *mapping) bool { return m.hasSent(from, size) })
}

// carry sends a frame of a client on to server, by the mapping of the client. Where it cannot, it
// counts the frame, and answers it where the reason concerns the client.
func (n *NAT) carry(f *Frame, client endpoint, server netip.AddrPort) {
	if f.marks().hopLimit == 0 {
		f.drop(&n.stats.DropMalformed)
		return
	}
	f.now = n.table.now()
	id := n.identify(f, client, server)
	target, ok := n.target(f, &id)
	if !ok {
		return
	}
	for again := true; ; again = false {
		m := n.mapping(f, target, &id)
		if m == nil {
			return
		}
		m.noteTarget(target, server, id.ruling != nil)
		errno, changed := n.send(m, f, target, &id)
		if changed {
			n.carry(f, client, server) // by a new flow, if policy lets this sender
			return
		}
		// The socket's address may have gone: EINVAL or, of newer kernels, ENETUNREACH.
		if again && (errno == unix.EINVAL || errno == unix.ENETUNREACH) && n.routes.forget(target) {
			continue
		}
		if errno != 0 {
			n.dialer.Unreachable(server.Addr(), target.Addr())
			n.failed(f, target, errno, n.routes.kernel, nil)
		}
		return
	}
}

// target returns the address to which the host sends a frame of a client, if it may.
func (n *NAT) target(f *Frame, id *identity) (netip.AddrPort, bool) {
	client, server := id.client, id.key.server
	if !leavesLink(client.Addr()) || !leavesLink(server.Addr()) {
		f.drop(&n.stats.DropLinkScope)
		return netip.AddrPort{}, false
	}
	if !n.maySend(client.Addr(), f.now) {
		f.drop(&n.stats.DropSource)
		return netip.AddrPort{}, false
	}
	to := dial.Flow{Proto: tunflow.UDP, Client: client.AddrPort, Server: server}
	if client.echo {
		to.Proto = tunflow.ICMP
	}
	id.ruling = n.rule(to, f.now)
	target, decision := n.dialer.Target(to, id.ruling)
	id.decision = decision
	if decision.Deny {
		n.deny(f, id)
		return netip.AddrPort{}, false
	}
	if !n.decideQuery(f, id) {
		return netip.AddrPort{}, false
	}
	if client.echo && target.Addr().Is6() != f.v6() { // IPv4-mapped: ICMPv6 does not go there
		f.drop(&n.stats.DropICMP)
		return netip.AddrPort{}, false
	}
	return target, true
}

// deny records, counts and answers a frame whose destination policy forbids.
func (n *NAT) deny(f *Frame, id *identity) {
	n.o.Denied(id.key.server.Addr(), id.decision)
	if n.recordDenied(f, id) {
		f.drop(&n.stats.DropDenied)
		n.reject(f, id.unsent, packet.ICMPProhibited, packet.ICMPv6Prohibited)
	}
}

// sourceAge is the time for which the answer about a client holds.
const sourceAge = time.Second

// maySend reports whether datagrams with the source address of a client are carried.
func (n *NAT) maySend(client netip.Addr, now time.Duration) bool {
	if client == n.source && now-n.sourced < sourceAge {
		return true
	}
	if client.IsLoopback() || client.Is4In6() || classE.Contains(client) ||
		thisNetwork.Contains(client) || !n.o.Sources(client) {
		return false
	}
	n.source, n.sourced = client, now
	return true
}

// Addresses that no packet has as its source (RFC 1122 §3.2.1.3, RFC 1112 §4).
var (
	thisNetwork = netip.MustParsePrefix("0.0.0.0/8")
	classE      = netip.MustParsePrefix("240.0.0.0/4")
)

var limitedBroadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255}) // RFC 919 §7

// leavesLink reports whether a router passes packets with an address on. An interface sends many
// that stay on its link, such as mDNS, DHCPv6 and router solicitations; they get no answer. IPv4
// link-local addresses are routed by some hosts, for services of their cloud: they are for policy
// to refuse.
func leavesLink(a netip.Addr) bool {
	a = a.Unmap()
	return !a.IsMulticast() && !a.IsUnspecified() && a != limitedBroadcast &&
		(a.Is4() || !a.IsLinkLocalUnicast())
}

// mapping returns the mapping by which a client is about to send a frame to target, and makes one
// where there is none. It returns nil where it cannot.
func (n *NAT) mapping(f *Frame, target netip.AddrPort, id *identity) *mapping {
	client, server, local := id.client, id.key.server, id.client.Addr()
	if !n.o.KeepSource(client.Addr()) {
		var err error
		if local, err = n.routes.source(target, f.now); err != nil {
			n.dialer.Unreachable(server.Addr(), target.Addr())
			if errno := errnoOf(err); n.recordUnroutable(f, id, target, errno) {
				n.failed(f, target, errno, n.routes.kernel, id.unsent)
			}
			return nil
		}
	}
	k := key{client: client, local: local}
	if m := n.table.find(k, server.Port(), f.datagrams(), f.now); m != nil {
		return m
	}
	if n.table.owns(client) {
		f.drop(&n.stats.DropOwnSocket)
		return nil
	}
	isLocal := n.o.Local(client.Addr())
	if full := n.table.makeRoom(client.Addr(), isLocal); full != nil {
		f.drop(full)
		return nil
	}
	m := &mapping{
		socket: socket{fd: -1, v6: local.Is6()},
		key:    k, isLocal: isLocal, router: n.router, dialer: n.dialer, stats: n.stats,
		recorder: n.recorder,
	}
	full := m.take(&m.fixed, mappingMemory)
	if full != nil && n.table.evictOf(client.Addr(), isLocal) {
		full = m.take(&m.fixed, mappingMemory)
	}
	if full != nil {
		f.drop(full)
		return nil
	}
	if err := n.openSocket(m, server); err != nil {
		m.close(n.poller)
		f.drop(&n.stats.DropSend)
		n.router.LocalFailure(err)
		return nil
	}
	n.table.add(m, server.Port(), f.datagrams())
	return m
}

// openSocket opens the socket of a mapping whose client is about to send to server.
func (n *NAT) openSocket(m *mapping, server netip.AddrPort) error {
	client := m.key.client
	var err error
	if client.echo {
		err = m.openEcho(n.dialer, m.key.local, n.identBase)
		if err == nil && m.raw && n.recorder != nil {
			n.recorder.raw.Store(m.ino, nil)
		}
		if errors.Is(err, unix.EPERM) {
			n.noEchoes.Do(func() {
				n.o.Log.WithError(err).Warn("ping does not work: net.ipv4.ping_group_range " +
					"excludes this group, and CAP_NET_RAW is missing")
			})
		}
	} else {
		err = m.openUDP(n.dialer, m.key.local, n.ports(client.AddrPort))
	}
	if err != nil {
		return err
	}
	if m.own.AddrPort == client.AddrPort { // the client has gone, or its port would be taken
		return fmt.Errorf("bind socket: it would receive its own datagrams: %w", unix.EADDRINUSE)
	}
	if !m.v6 {
		m.df = n.o.DF(client.AddrPort, server)
	}
	if err := n.poller.Add(m.fd, &m.watch, watcher{m, n.replies}, unix.EPOLLIN); err != nil {
		return fmt.Errorf("watch socket: %w", err)
	}
	return nil
}

// ports returns the ports to try for the socket of a client. The kernel chooses the port, so that
// no service of the host finds its own taken, unless the client has a system port: far ends of some
// protocols require that of their peers.
func (n *NAT) ports(client netip.AddrPort) []uint16 {
	ports := dial.SystemPorts(client.Port())
	if ports[0] != 0 && n.o.OnHost(client.Addr()) {
		// The socket would receive the datagrams that it sends to the client, without end.
		ports = slices.DeleteFunc(ports, func(p uint16) bool { return p == client.Port() })
	}
	return ports
}

// failed counts a frame that the host did not send, and answers it where the host's routes are the
// reason. Another failure is the host's own: no answer.
func (n *NAT) failed(
	f *Frame, target netip.AddrPort, errno syscall.Errno, routes *dial.Routes,
	unsent *tunflow.Datagram,
) {
	f.drop(&n.stats.DropSend)
	switch errno {
	case unix.ENETUNREACH:
		n.reject(f, unsent, packet.ICMPNetUnreachable, packet.ICMPv6NoRoute)
	case unix.EHOSTUNREACH:
		n.reject(f, unsent, packet.ICMPHostUnreachable, packet.ICMPv6AddressUnreachable)
	case unix.EACCES: // a route prohibits it
		n.reject(f, unsent, packet.ICMPProhibited, packet.ICMPv6Prohibited)
	case unix.EMSGSIZE:
		n.rejectTooBig(f, routes.MTU(target))
	default:
		n.router.LocalFailure(errno)
	}
}

// reject answers a frame with an ICMP error "destination unreachable" from its destination. The
// codes are those of each family.
func (n *NAT) reject(f *Frame, unsent *tunflow.Datagram, code4, code6 uint8) {
	typ, code := uint8(packet.ICMPUnreachable), code4
	if f.v6() {
		typ, code = packet.ICMPv6Unreachable, code6
	}
	n.answer(f, unsent, typ, code, 0)
}

// rejectTooBig answers a frame that is longer than the path takes and may not be fragmented with
// the path's MTU (RFC 1191 §4, RFC 4443 §3.2).
func (n *NAT) rejectTooBig(f *Frame, mtu packet.MTU) {
	if mtu == 0 || mtu > 0xffff {
		return
	}
	typ, code := uint8(packet.ICMPUnreachable), uint8(packet.ICMPFragmentationNeeded)
	if f.v6() {
		typ, code = packet.ICMPv6PacketTooBig, 0
	}
	n.answer(f, nil, typ, code, uint32(mtu))
}

// answer writes an ICMP error in answer to a frame. Where unsent, the flow of which it has put on
// record, is not nil, BeforeAnswer may hold it back.
func (n *NAT) answer(f *Frame, unsent *tunflow.Datagram, typ, code uint8, rest uint32) {
	from := f.Headers.Dst(f.Head)
	message := packet.ICMPError(&f.Headers, f.Head, from, typ, code, rest)
	n.answerBefore(unsent, func() { n.router.WriteICMPError(message) })
}

// answerBefore calls answer when the client of a flow may have it; unsent may be nil.
func (n *NAT) answerBefore(unsent *tunflow.Datagram, answer func()) {
	if unsent == nil || n.o.BeforeAnswer == nil {
		answer()
		return
	}
	n.o.BeforeAnswer(unsent, answer)
}
