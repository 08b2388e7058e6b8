//go:build linux

package hostsock

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
	"syntap/tun/raw"
)

// Socket is a host socket for datagrams or echo requests. One of the Open methods makes it usable.
type Socket struct {
	Own  netip.AddrPort // its address, and its port or echo identifier
	Echo bool           // for echo requests
	V6   bool

	mu   sync.RWMutex // guards fd; held for reading while the descriptor is in use
	fd   int          // -1 when closed
	open bool

	marks packet.Marks  // that it sends with; owned by the sender
	lost  atomic.Uint32 // datagrams that it has dropped, by its own count
}

// FD returns the descriptor, -1 when there is none. The caller must prevent Close.
func (s *Socket) FD() int {
	if !s.open {
		return -1
	}
	return s.fd
}

// Use calls f with the descriptor, if there is one. It is not closed meanwhile.
func (s *Socket) Use(f func(fd int)) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.open {
		f(s.fd)
	}
}

// Close calls last with the descriptor, if there is one, and closes it.
func (s *Socket) Close(last func(fd int)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.open {
		return
	}
	last(s.fd)
	raw.Close(s.fd)
	s.fd, s.open = -1, false
}

// Send sends parts with the given marks, as one datagram or, where segment is not 0, in pieces of
// that many bytes.
func (s *Socket) Send(
	out *Msghdr, to netip.AddrPort, as packet.Marks, segment int, parts ...[]byte,
) syscall.Errno {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.mark(as); err != nil {
		return Errno(err)
	}
	return out.Send(s.fd, to, segment, parts...)
}

// Receive reads one datagram, or several of one length that arrived together (UDP_GRO), into b;
// with MSG_ERRQUEUE among the flags, the message that a [Report] quotes.
func (s *Socket) Receive(in *Msghdr, b []byte, flags int) (int, syscall.Errno) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return in.Receive(s.fd, b, flags)
}

// NewlyLost returns how many datagrams the socket has dropped since the last call; total is its own
// count.
func (s *Socket) NewlyLost(total uint32) uint64 {
	n := int32(total - s.lost.Load())
	if n <= 0 {
		return 0
	}
	s.lost.Store(total)
	return uint64(n)
}

// OpenUDP opens a socket at a local address for UDP. ports are tried in turn.
func (s *Socket) OpenUDP(dialer *dial.Dialer, local netip.Addr, ports []uint16) (err error) {
	s.V6 = local.Is6()
	if s.fd, err = dialer.Datagram(local); err != nil {
		return err
	}
	s.open = true
	_ = raw.SetOption(s.fd, unix.SOL_UDP, unix.UDP_GRO, int32(1)) // else datagrams come one by one
	for _, port := range ports {
		if err = dialer.BindTo(s.fd, netip.AddrPortFrom(local, port)); err == nil {
			s.Own = dial.LocalAddr(s.fd)
			return s.prepare()
		}
	}
	return fmt.Errorf("bind socket: %w", err)
}

// OpenPing opens a ping socket at a local address. On the host its echoes have an identifier of
// their own, since the client's may be in use: the kernel lets ping sockets share one, and then
// delivers the replies of one to the other.
func (s *Socket) OpenPing(dialer *dial.Dialer, local netip.Addr) (err error) {
	s.V6, s.Echo = local.Is6(), true
	if s.fd, err = dialer.Ping(local); err != nil {
		return err
	}
	s.open = true
	if err := dialer.BindTo(s.fd, netip.AddrPortFrom(local, 0)); err != nil {
		return fmt.Errorf("bind echo socket: %w", err)
	}
	s.Own = dial.LocalAddr(s.fd)
	return s.prepare()
}

// OpenRaw opens a raw socket for echoes at a local address, after calling setup with it. The caller
// chooses the identifiers.
func (s *Socket) OpenRaw(
	dialer *dial.Dialer, local netip.Addr, setup func(fd int) error,
) (err error) {
	s.V6, s.Echo, s.Own = local.Is6(), true, netip.AddrPortFrom(local, 0)
	if s.fd, err = dialer.RawPing(local); err != nil {
		return err
	}
	s.open = true
	if err := setup(s.fd); err != nil {
		return err
	}
	if err := dialer.BindTo(s.fd, s.Own); err != nil {
		return fmt.Errorf("bind raw socket: %w", err)
	}
	return s.prepare()
}

// BufferSize is the size in bytes of the socket buffers that programs which expect bursts of
// datagrams request, such as those of QUIC.
const BufferSize = 7 << 20

// prepare sets the options of a socket: queue the ICMP errors that answer its datagrams, report the
// marks of received ones and the number of dropped ones, buffer as much as the host allows
// (net.core.rmem_max and wmem_max bind only those without CAP_NET_ADMIN).
func (s *Socket) prepare() error {
	sockmem.SetReceiveBuffer(s.fd, BufferSize)
	sockmem.SetSendBuffer(s.fd, BufferSize)
	options := []option{
		{unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1},
		{unix.IPPROTO_IP, unix.IP_RECVERR, 1},
		{unix.IPPROTO_IP, unix.IP_RECVTTL, 1},
		{unix.IPPROTO_IP, unix.IP_RECVTOS, 1},
	}
	if s.V6 {
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

func (s *Socket) set(options ...option) error {
	for _, o := range options {
		if err := raw.SetOption(s.fd, o.level, o.name, int32(o.value)); err != nil {
			return fmt.Errorf("set option %d of level %d to %d: %w", o.name, o.level, o.value, err)
		}
	}
	return nil
}

// fragmentation returns the options that forbid or allow fragments of the socket's datagrams. A
// socket that forbids them ignores the path MTU that the host has learned: a packet that fits the
// link leaves, as from a router, and the network's answer is for the client.
func (s *Socket) fragmentation(forbid bool) []option {
	switch {
	case s.V6 && forbid:
		return []option{
			{unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE},
			{unix.IPPROTO_IPV6, unix.IPV6_DONTFRAG, 1},
		}
	case s.V6:
		return []option{
			{unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_WANT},
			{unix.IPPROTO_IPV6, unix.IPV6_DONTFRAG, 0},
		}
	case forbid:
		return []option{{unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE}}
	}
	return []option{{unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT}}
}

// mark makes the socket send with the given marks. The caller holds mu for reading.
func (s *Socket) mark(to packet.Marks) error {
	if to == s.marks {
		return nil
	}
	hopLimit := option{unix.IPPROTO_IP, unix.IP_TTL, int(to.HopLimit)} // 0 is an error
	tos := option{unix.IPPROTO_IP, unix.IP_TOS, int(to.TOS)}
	if s.V6 {
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

// Errno returns the error number in an error of a host socket.
func Errno(err error) syscall.Errno {
	errno := unix.EIO
	errors.As(err, &errno)
	return errno
}
