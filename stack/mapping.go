//go:build linux

package stack

import (
	"container/list"
	"fmt"
	"net/netip"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"syntap/stack/dial"
)

// mapping carries the datagrams of one client endpoint by one host socket, wherever they go, and brings the client what
// anybody sends to that socket: endpoint-independent mapping and filtering (RFC 4787 §4.1, §5). For echo requests the
// identifier stands in for the port (RFC 5508 §3.1).
type mapping struct {
	watch watch
	stack *Stack
	key   mappingKey
	ident uint16 // of echo requests on the host's side
	port  uint16 // of a UDP socket
	raw   bool   // echoes by a raw socket, not a ping socket

	mu    sync.RWMutex                      // guards the fields below; held for reading while the socket is in use
	fd    int                               // -1 once closed
	asked map[netip.AddrPort]netip.AddrPort // what the client calls a destination that the dialer redirected
	large [4]largePacket                    // sent to the client lately; written by the poller alone

	hopLimit uint8 // the socket's; owned by the read loop, like the next
	singly   bool  // the socket does not take super-frames
	busy     bool  // datagrams came in a row when last looked; owned by the poller

	place *list.Element // in its queue; guarded by nat.mu, like the rest
	class idleClass
	used  time.Duration // when, on nat's clock
}

type mappingKey struct {
	client netip.AddrPort
	echo   bool
	v6     bool // the socket's family: not the client's where the dialer redirects to the other one
}

// newMapping opens the socket for a client endpoint that is about to send to server.
func (s *Stack) newMapping(key mappingKey, server netip.AddrPort) (*mapping, error) {
	m := &mapping{stack: s, key: key, fd: -1, hopLimit: replyTTL}
	m.watch.owner = m
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
	if err := m.wantErrors(); err != nil {
		return err
	}
	if !m.key.v6 {
		if err := m.stack.df(m.key.client, server).Apply(m.fd); err != nil {
			return err
		}
	}
	if err := m.stack.poller.add(m.fd, &m.watch, datagramEvents); err != nil {
		return fmt.Errorf("watch socket: %w", err)
	}
	return nil
}

// anyAddr returns the unspecified address of the socket's family.
func (k mappingKey) anyAddr() netip.Addr {
	if k.v6 {
		return netip.IPv6Unspecified()
	}
	return netip.IPv4Unspecified()
}

// firstUserPort keeps the ports below it, which belong to the host's services, from clients that happen to use them too.
const firstUserPort = 1024

func (m *mapping) openUDP() (err error) {
	if m.fd, err = m.stack.dialer.Datagram(m.key.anyAddr()); err != nil {
		return err
	}
	if m.key.v6 { // or it would take the IPv4 port too
		if err := unix.SetsockoptInt(m.fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
			return fmt.Errorf("set IPV6_V6ONLY: %w", err)
		}
	}
	_ = unix.SetsockoptInt(m.fd, unix.SOL_UDP, unix.UDP_GRO, 1) // without it, replies come one by one
	if port := m.key.client.Port(); port < firstUserPort || m.stack.host.Contains(m.key.client.Addr()) || m.bind(port) != nil {
		// Not the port of a client on this host: what we send to the client would come to our own socket, without end.
		if err := m.bind(0); err != nil {
			return fmt.Errorf("bind socket: %w", err)
		}
	}
	m.port = dial.LocalAddr(m.fd).Port()
	return nil
}

// wantErrors has the socket queue the ICMP errors that answer what it sends.
func (m *mapping) wantErrors() error {
	level, option := unix.IPPROTO_IP, unix.IP_RECVERR
	if m.key.v6 {
		level, option = unix.IPPROTO_IPV6, unix.IPV6_RECVERR
	}
	if err := unix.SetsockoptInt(m.fd, level, option, 1); err != nil {
		return fmt.Errorf("ask for ICMP errors: %w", err)
	}
	return nil
}

func (m *mapping) bind(port uint16) error {
	if m.key.v6 {
		return unix.Bind(m.fd, &unix.SockaddrInet6{Port: int(port)})
	}
	return unix.Bind(m.fd, &unix.SockaddrInet4{Port: int(port)})
}

// close may be called from any goroutine, once the mapping is out of the table.
func (m *mapping) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stack.closeSocket(m.fd)
	m.fd = -1
}

// send sends parts to a destination with the client's hop limit, as one datagram or, where segment is not 0, in pieces
// of that many bytes.
func (m *mapping) send(out *message, to netip.AddrPort, hopLimit uint8, segment int, parts ...[]byte) syscall.Errno {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if hopLimit != m.hopLimit {
		if m.setHopLimit(hopLimit) != nil { // it is 0
			return unix.EINVAL
		}
		m.hopLimit = hopLimit
	}
	return out.send(m.fd, to, segment, parts...)
}

func (m *mapping) setHopLimit(n uint8) error {
	if m.key.v6 {
		return unix.SetsockoptInt(m.fd, unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, int(n))
	}
	return unix.SetsockoptInt(m.fd, unix.IPPROTO_IP, unix.IP_TTL, int(n))
}

// sendSurely is send for a socket that may have an ICMP error to report. It reports each to whoever calls next, and does
// nothing else then: the datagram is sent again.
func (m *mapping) sendSurely(out *message, to netip.AddrPort, hopLimit uint8, segment int, parts ...[]byte) syscall.Errno {
	errno := m.send(out, to, hopLimit, segment, parts...)
	for range 2 { // another error may come in between
		if errno == 0 || errno == unix.EAGAIN || errno == unix.ENOBUFS {
			break
		}
		m.relayErrors()
		errno = m.send(out, to, hopLimit, segment, parts...)
	}
	return errno
}

// datagramsPerTurn bounds what one socket may bring before others have their turn.
const datagramsPerTurn = 64

// A socket that has brought busyDatagrams in a row is waited for once before it is left, as network cards hold back their
// interrupts: what comes meanwhile goes to the client in the same frame, and waking up for each costs more than all else. The
// kernel's timer slack makes it 70 µs, for which the P stands still: giving it away would cost as much as is saved. So nobody
// waits where halves have something to move.
const (
	busyDatagrams = 4
	busyWait      = 20 * time.Microsecond
)

// ready implements pollee: a datagram or an ICMP error has come.
func (m *mapping) ready(events uint32, _ *worker) {
	if events&unix.EPOLLERR != 0 {
		m.relayErrors()
	}
	in := m.stack.inbound
	defer m.flush(in)
	waited := false
	for got := range datagramsPerTurn {
		n, errno := m.receive(&in.message, in.buf[in.run.end:], 0)
		if errno == unix.EAGAIN && m.busy && !waited && m.stack.queue.isIdle() {
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
		case m.key.echo:
			m.replyEcho(in, n)
		default:
			m.gather(in, n)
		}
	}
	m.busy = !m.key.echo
	m.mu.RLock()
	defer m.mu.RUnlock()
	m.stack.poller.again(m.fd, &m.watch, datagramEvents)
}

// nap sleeps without a word to the scheduler. A signal may end it early.
func nap(d time.Duration) {
	t := unix.NsecToTimespec(int64(d))
	_, _, _ = syscall.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&t)), 0, 0)
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

// maxAsked bounds the redirected destinations that a mapping remembers; beyond it, it begins anew.
const maxAsked = 256

// noteTarget remembers what the client calls a destination, if it is redirected.
func (m *mapping) noteTarget(target, server netip.AddrPort) {
	if target == server || m.asClientSees(target) == server {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.asked == nil || len(m.asked) >= maxAsked {
		m.asked = make(map[netip.AddrPort]netip.AddrPort)
	}
	m.asked[target] = server
}

// asClientSees returns what the client calls a far end.
func (m *mapping) asClientSees(far netip.AddrPort) netip.AddrPort {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if server, ok := m.asked[far]; ok {
		return server
	}
	return far
}
