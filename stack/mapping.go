//go:build linux

package stack

import (
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"syntap/stack/dial"
)

// mapping carries the datagrams of one client endpoint by one host socket, to wherever the host's
// routes lead from one of its addresses, and brings the client what others send to that socket:
// endpoint-independent mapping and filtering (RFC 4787 §4.1, §5). A client has a second one where
// another address of the host is the source towards some of its destinations. For echo requests the
// identifier stands in for the port (RFC 5508 §3.1).
type mapping struct {
	nat *nat
	key mappingKey
	own netip.AddrPort // what the socket is bound to; of echoes, with their identifier on the host's side
	raw bool           // echoes by a raw socket, not a ping socket
	df  dial.DF        // what policy says of it

	mu    sync.RWMutex                      // guards the fields below; held for reading while the socket is in use
	fd    int                               // -1 once closed
	asked map[netip.AddrPort]netip.AddrPort // what the client calls a destination that is redirected or on this host
	large [4]largePacket                    // sent to the client lately; written by the poller alone

	marks  marks         // the socket's; owned by the read loop, like the next
	singly bool          // the socket does not take super-frames
	busy   bool          // datagrams came in a row when last looked; owned by the poller
	lost   atomic.Uint32 // what the socket has dropped, by its own count

	admitted   netip.AddrPort // who may send to the client; owned by the poller, like the next
	admittedAt time.Duration  // when, on nat's clock

	membership // in nat
}

type mappingKey struct {
	client netip.AddrPort
	echo   bool
	local  netip.Addr // of this host; not of the client's family where the dialer redirects to the other one
}

// v6 reports the socket's family.
func (m *mapping) v6() bool { return m.key.local.Is6() }

// newMapping opens the socket for a client endpoint that is about to send to server.
func (n *nat) newMapping(key mappingKey, server netip.AddrPort) (*mapping, error) {
	m := &mapping{nat: n, key: key, fd: -1, marks: marks{whole: true}}
	if err := m.open(server); err != nil {
		m.close()
		return nil, err
	}
	return m, nil
}

func (m *mapping) open(server netip.AddrPort) error {
	open := m.openUDP
	if m.key.echo {
		open = m.openEcho
	}
	if err := open(); err != nil {
		return err
	}
	if !m.v6() {
		m.df = m.nat.o.DF(m.key.client, server)
	}
	for _, prepare := range []func() error{m.wantErrors, m.wantMarks, m.enlarge, func() error { return m.setWhole(true) }} {
		if err := prepare(); err != nil {
			return err
		}
	}
	if m.own == m.key.client { // which has gone, or its port would not have been free
		return fmt.Errorf("bind socket: what it sends to its client would come to itself: %w", unix.EADDRINUSE)
	}
	if err := m.nat.poller.Add(m.fd, m.ready); err != nil {
		return fmt.Errorf("watch socket: %w", err)
	}
	return nil
}

func (m *mapping) openUDP() (err error) {
	if m.fd, err = m.nat.dialer.Datagram(m.key.local); err != nil {
		return err
	}
	_ = unix.SetsockoptInt(m.fd, unix.SOL_UDP, unix.UDP_GRO, 1) // without it, replies come one by one
	if err := m.bindPort(); err != nil {
		return fmt.Errorf("bind socket: %w", err)
	}
	m.own = dial.LocalAddr(m.fd)
	return nil
}

// bindPort binds the socket. The kernel chooses the port, so that no service of the host finds its
// own taken, unless the client has a system port, which servers of some kinds ask for.
func (m *mapping) bindPort() (err error) {
	client := m.key.client
	for _, port := range dial.SystemPorts(client.Port()) {
		if port != 0 && port == client.Port() && m.nat.o.OnHost(client.Addr()) {
			continue // what we send to the client would come to our own socket, without end
		}
		if err = m.bind(port); err == nil {
			break
		}
	}
	return err
}

func (m *mapping) bind(port uint16) error {
	return dial.BindTo(m.fd, netip.AddrPortFrom(m.key.local, port))
}

// wantErrors has the socket queue the ICMP errors that answer what it sends.
func (m *mapping) wantErrors() error {
	level, option := unix.IPPROTO_IP, unix.IP_RECVERR
	if m.v6() {
		level, option = unix.IPPROTO_IPV6, unix.IPV6_RECVERR
	}
	if err := unix.SetsockoptInt(m.fd, level, option, 1); err != nil {
		return fmt.Errorf("ask for ICMP errors: %w", err)
	}
	return nil
}

// close may be called from any goroutine, once the mapping is out of the table.
func (m *mapping) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.countLost()
	if m.fd >= 0 {
		m.nat.poller.Forget(m.fd)
		_ = unix.Close(m.fd)
	}
	m.fd = -1
}

// send sends parts to a destination with the client's marks, as one datagram or, where segment is
// not 0, in pieces of that many bytes.
func (m *mapping) send(out *message, to netip.AddrPort, as marks, segment int, parts ...[]byte) syscall.Errno {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if err := m.mark(as); err != nil {
		return errnoOf(err)
	}
	return out.send(m.fd, to, segment, parts...)
}

// sendSurely is send for a socket that may have an ICMP error to report. It reports each to whoever
// calls next, and does nothing else then: the datagram is sent again.
func (m *mapping) sendSurely(out *message, to netip.AddrPort, as marks, segment int, parts ...[]byte) syscall.Errno {
	errno := m.send(out, to, as, segment, parts...)
	for range 2 { // another error may come in between
		if errno == 0 || errno == unix.EAGAIN || errno == unix.ENOBUFS {
			break
		}
		m.relayErrors()
		errno = m.send(out, to, as, segment, parts...)
	}
	return errno
}

// datagramsPerTurn bounds what one socket may bring before others have their turn.
const datagramsPerTurn = 64

// A socket that has brought busyDatagrams in a row is waited for once before it is left, as network
// cards hold back their interrupts: what comes meanwhile goes to the client in the same frame, and
// waking up for each costs more than all else. The kernel's timer slack makes it 70 µs, for which
// the P stands still: giving it away would cost as much as is saved. So nobody waits where halves
// have something to move.
const (
	busyDatagrams = 4
	busyWait      = 20 * time.Microsecond
)

// ready is for the poller: a datagram or an ICMP error has come.
func (m *mapping) ready(events uint32) {
	if events&unix.EPOLLERR != 0 {
		m.relayErrors()
	}
	in := m.nat.in
	in.now = m.nat.table.now()
	defer m.flush(in)
	waited := false
	for got := range datagramsPerTurn {
		n, errno := m.receive(&in.message, in.buf[in.run.end:], 0)
		if errno == unix.EAGAIN && m.busy && !waited && m.nat.router.Idle() {
			waited = true
			nap(busyWait)
			n, errno = m.receive(&in.message, in.buf[in.run.end:], 0)
		}
		switch {
		case errno == unix.EAGAIN, errno == unix.EBADF: // nothing more, or closed
			m.busy = got >= busyDatagrams && !m.key.echo
			return
		case errno != 0:
			m.relayErrors()
		default:
			m.received(in, n)
		}
	}
	m.busy = !m.key.echo
	m.mu.RLock()
	defer m.mu.RUnlock()
	m.nat.poller.Again(m.fd)
}

// nap sleeps without a word to the scheduler. A signal may end it early.
func nap(d time.Duration) {
	t := unix.NsecToTimespec(int64(d))
	_, _, _ = syscall.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&t)), 0, 0)
}

// received takes the n bytes that a far end has just sent.
func (m *mapping) received(in *inbound, n int) {
	in.readControl()
	m.noteLost(in.lost)
	from, ok := m.admit(m.far(&in.message), in.now)
	switch {
	case !ok:
		m.nat.stats.DropUninvited.Add(1)
	case m.key.echo:
		m.replyEcho(in, n, from.Addr())
	default:
		m.gather(in, n, from)
	}
}

func (m *mapping) receive(msg *message, b []byte, flags int) (int, syscall.Errno) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return msg.receive(m.fd, b, flags)
}

// far returns who is at the other end of a message; of an echo, with a port of zero.
func (m *mapping) far(msg *message) netip.AddrPort {
	peer := msg.peer.AddrPort()
	if m.key.echo {
		return netip.AddrPortFrom(peer.Addr(), 0)
	}
	return peer
}

// maxAsked bounds the destinations that a mapping remembers; beyond it, it begins anew.
const maxAsked = 256

// noteTarget remembers what the client calls a destination that is redirected or on this host.
func (m *mapping) noteTarget(target, server netip.AddrPort) {
	target = netip.AddrPortFrom(target.Addr().WithZone(""), target.Port()) // as its datagrams name it
	onHost := target.Addr() == m.key.local || m.key.local.IsLoopback()     // the kernel sends to its own addresses from themselves
	if target == server && !onHost {
		return
	}
	if known, ok := m.calls(target); ok && known == server {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.asked == nil || len(m.asked) >= maxAsked {
		m.asked = make(map[netip.AddrPort]netip.AddrPort)
	}
	m.asked[target] = server
}

// calls returns what the client calls a destination that noteTarget remembers.
func (m *mapping) calls(far netip.AddrPort) (server netip.AddrPort, ok bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	server, ok = m.asked[far]
	return server, ok
}

// asClientSees returns what the client calls a far end.
func (m *mapping) asClientSees(far netip.AddrPort) netip.AddrPort {
	if server, ok := m.calls(far); ok {
		return server
	}
	return far
}

// admit returns what the client calls a far end that has sent to it, if it may. The open door of
// the mapping is for the outside: a client gets nothing that programs of this host send to each
// other, unless it has asked them, and nothing from where it may not send.
func (m *mapping) admit(far netip.AddrPort, now time.Duration) (server netip.AddrPort, ok bool) {
	if server, ok = m.calls(far); ok {
		return server, true
	}
	a := far.Addr()
	if far == m.admitted && now-m.admittedAt < wayAge {
		return far, true
	}
	if a == m.key.local || a.IsLoopback() || m.nat.o.OnHost(a) || !m.nat.dialer.Admits(m.key.client.Addr(), far) {
		return far, false
	}
	m.admitted, m.admittedAt = far, now
	return far, true
}
