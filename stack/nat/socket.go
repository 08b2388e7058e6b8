//go:build linux

package nat

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"syntap/stack/dial"
	"syntap/stack/sockmem"
	"syntap/tun/packet"
)

// socket is a host socket for datagrams or echoes.
type socket struct {
	own endpoint // its address, and its port or the identifier of its echoes
	v6  bool

	mu sync.RWMutex // guards fd; held for reading while the descriptor is in use
	fd int          // -1 when closed

	marks  packet.Marks  // that it sends with; mapping.sending guards it
	singly bool          // it refuses GSO packets; mapping.sending guards it
	busy   bool          // it has brought datagrams in a row; owned by the poller
	curbed bool          // its receive buffer is small for want of memory; owned by the poller
	lost   atomic.Uint32 // datagrams that it has dropped, by its own count
}

// openUDP opens a socket at a local address for UDP. ports are tried in turn.
func (s *socket) openUDP(dialer *dial.Dialer, local netip.Addr, ports []uint16) (err error) {
	if s.fd, err = dialer.Datagram(local); err != nil {
		return err
	}
	_ = unix.SetsockoptInt(s.fd, unix.SOL_UDP, unix.UDP_GRO, 1) // else datagrams come one by one
	for _, port := range ports {
		if err = dial.BindTo(s.fd, netip.AddrPortFrom(local, port)); err == nil {
			s.own.AddrPort = dial.LocalAddr(s.fd)
			return s.prepare()
		}
	}
	return fmt.Errorf("bind socket: %w", err)
}

// openPing opens a ping socket at a local address. On the host its echoes have an identifier of
// their own, since the client's may be in use: the kernel lets ping sockets share one, and then
// delivers the replies of one to the other.
func (s *socket) openPing(dialer *dial.Dialer, local netip.Addr) (err error) {
	s.own.echo = true
	if s.fd, err = dialer.Ping(local); err != nil {
		return err
	}
	if err := dial.BindTo(s.fd, netip.AddrPortFrom(local, 0)); err != nil {
		return fmt.Errorf("bind echo socket: %w", err)
	}
	s.own.AddrPort = dial.LocalAddr(s.fd)
	return s.prepare()
}

// socketBuffer is the size of socket buffers that programs request which expect bursts of
// datagrams, such as those of QUIC.
const socketBuffer = 7 << 20

// prepare sets the options of a socket: queue the ICMP errors that answer its datagrams, report the
// marks of received ones and the number of dropped ones, buffer as much as the host allows
// (net.core.rmem_max and wmem_max bind only those without CAP_NET_ADMIN).
func (s *socket) prepare() error {
	sockmem.SetReceiveBuffer(s.fd, socketBuffer)
	sockmem.SetSendBuffer(s.fd, socketBuffer)
	options := []option{
		{unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1},
		{unix.IPPROTO_IP, unix.IP_RECVERR, 1},
		{unix.IPPROTO_IP, unix.IP_RECVTTL, 1},
		{unix.IPPROTO_IP, unix.IP_RECVTOS, 1},
	}
	if s.v6 {
		options = []option{
			{unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1},
			{unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 1},
			{unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, 1},
			{unix.IPPROTO_IPV6, unix.IPV6_RECVTCLASS, 1},
		}
	}
	if err := s.set(options...); err != nil {
		return err
	}
	s.marks.Whole = true
	return s.set(s.fragmentation(true)...)
}

// option is a socket option and its value.
type option struct{ level, name, value int }

func (s *socket) set(options ...option) error {
	for _, o := range options {
		if err := unix.SetsockoptInt(s.fd, o.level, o.name, o.value); err != nil {
			return fmt.Errorf("set option %d of level %d to %d: %w", o.name, o.level, o.value, err)
		}
	}
	return nil
}

// fragmentation returns the options that forbid or allow fragments of the socket's datagrams. A
// socket that forbids them ignores the path MTU that the host has learned: a packet that fits the
// link leaves, as from a router, and the network's answer is for the client.
func (s *socket) fragmentation(forbid bool) []option {
	switch {
	case s.v6 && forbid:
		return []option{
			{unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE},
			{unix.IPPROTO_IPV6, unix.IPV6_DONTFRAG, 1},
		}
	case s.v6:
		return []option{
			{unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_WANT},
			{unix.IPPROTO_IPV6, unix.IPV6_DONTFRAG, 0},
		}
	case forbid:
		return []option{{unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE}}
	}
	return []option{{unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT}}
}

// mark has the socket send with the given marks. The caller holds mu for reading.
func (s *socket) mark(to packet.Marks) error {
	if to == s.marks {
		return nil
	}
	hopLimit := option{unix.IPPROTO_IP, unix.IP_TTL, int(to.HopLimit)} // 0 is an error
	tos := option{unix.IPPROTO_IP, unix.IP_TOS, int(to.TOS)}
	if s.v6 {
		hopLimit.level, hopLimit.name = unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS
		tos.level, tos.name = unix.IPPROTO_IPV6, unix.IPV6_TCLASS
	}
	options := make([]option, 0, 4)
	if to.HopLimit != s.marks.HopLimit {
		options = append(options, hopLimit)
	}
	if to.TOS != s.marks.TOS {
		options = append(options, tos)
	}
	if to.Whole != s.marks.Whole {
		options = append(options, s.fragmentation(to.Whole)...)
	}
	if err := s.set(options...); err != nil {
		return err
	}
	s.marks = to
	return nil
}

// errnoOf returns the error number in an error of a host socket.
func errnoOf(err error) syscall.Errno {
	errno := unix.EIO
	errors.As(err, &errno)
	return errno
}
