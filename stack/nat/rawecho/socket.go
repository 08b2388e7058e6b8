//go:build linux

package rawecho

import (
	"fmt"
	"net/netip"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"syntap/stack/dial"
	"syntap/stack/nat/hostsock"
	"syntap/stack/nat/mappings"
	"syntap/stack/sched"
	"syntap/stack/sockmem"
	"syntap/tun/packet"
)

// Socket carries the echoes of all mappings at one address of the host.
type Socket struct {
	hostsock.Socket
	key   key
	ready func(*Socket, uint32)
	watch sched.Watch
	inode uint64

	sending sync.Mutex // one goroutine sends

	idents  sync.RWMutex       // guards the fields below
	base    uint16             // the first identifier
	most    int                // of identifiers
	byIdent []mappings.Mapping // by identifier, from base on; nil for one that is free
	free    []uint16           // indexes of byIdent, the one that has been free longest first
	used    int
}

// key tells one raw socket from another.
type key struct {
	local netip.Addr
	link  string // the interface that it is bound to
}

const (
	fewIdents  = 64 // of a new socket
	mostIdents = 1 << 16

	// bufferSize bounds what waits in a raw socket, in bytes, which no mapping is charged for. The
	// kernel doubles it.
	bufferSize = 512 << 10
)

// open opens the socket at its address, without identifiers.
func (s *Socket) open(dialer *dial.Dialer) error {
	err := s.OpenRaw(dialer, s.key.local, func(fd int) error {
		if err := s.filterTypes(fd); err != nil {
			return fmt.Errorf("filter raw socket: %w", err)
		}
		return s.grow(fd)
	})
	if err == nil {
		sockmem.SetReceiveBuffer(s.FD(), bufferSize)
	}
	return err
}

// filterTypes has the kernel copy echo replies alone.
func (s *Socket) filterTypes(fd int) error {
	if s.V6 {
		const filterOption = 1 // ICMPV6_FILTER of linux/icmpv6.h
		var blocked unix.ICMPv6Filter
		for i := range blocked.Data {
			blocked.Data[i] = 0xffffffff
		}
		blocked.Data[packet.ICMPv6EchoReply/32] &^= 1 << (packet.ICMPv6EchoReply % 32)
		return unix.SetsockoptICMPv6Filter(fd, unix.IPPROTO_ICMPV6, filterOption, &blocked)
	}
	const filterOption = 1 // ICMP_FILTER of linux/icmp.h
	return unix.SetsockoptInt(fd, unix.SOL_RAW, filterOption, ^(1 << packet.ICMPEchoReply))
}

// grow doubles the number of identifiers. idents is held, or s is not shared yet.
func (s *Socket) grow(fd int) error {
	before := len(s.byIdent)
	n := max(fewIdents, 2*before)
	if n > s.most {
		return fmt.Errorf("choose echo identifier: %w", unix.EADDRNOTAVAIL)
	}
	filter := identFilter(s.V6, s.base, n)
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program)
	if err != nil {
		return fmt.Errorf("filter raw socket: %w", err)
	}
	s.byIdent = append(s.byIdent, make([]mappings.Mapping, n-before)...)
	for i := before; i < n; i++ {
		s.free = append(s.free, uint16(i))
	}
	return nil
}

// identFilter is classic BPF: it passes messages with one of n identifiers from base on. A raw IPv4
// socket gives packets with their IP header, an IPv6 one without.
func identFilter(v6 bool, base uint16, n int) []unix.SockFilter {
	headerLen := unix.SockFilter{Code: unix.BPF_LDX | unix.BPF_B | unix.BPF_MSH} // into X
	if v6 {
		headerLen = unix.SockFilter{Code: unix.BPF_LDX | unix.BPF_IMM} // 0
	}
	return []unix.SockFilter{
		headerLen,
		{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_IND, K: 4}, // the identifier
		{Code: unix.BPF_ALU | unix.BPF_SUB | unix.BPF_K, K: uint32(base)},
		{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: 0xffff},
		{Code: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, K: uint32(n), Jt: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 1 << 18}, // all bytes
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	}
}

// enter gives a mapping an identifier, and calls set with it before any message finds the mapping.
func (s *Socket) enter(m mappings.Mapping, set func(s *Socket, ident uint16)) error {
	s.idents.Lock()
	defer s.idents.Unlock()
	if len(s.free) == 0 {
		if err := s.grow(s.FD()); err != nil {
			return err
		}
	}
	i := s.free[0]
	s.free = s.free[1:]
	set(s, s.base+i)
	s.byIdent[i] = m
	s.used++
	return nil
}

// leave takes the identifier of a mapping back, and reports whether no mapping is left.
func (s *Socket) leave(m mappings.Mapping, ident uint16) (last bool) {
	s.idents.Lock()
	defer s.idents.Unlock()
	i := ident - s.base
	if s.byIdent[i] != m {
		return false
	}
	s.byIdent[i] = nil
	s.free = append(s.free, i)
	s.used--
	return s.used == 0
}

// Of returns the mapping that an identifier belongs to, or nil.
func (s *Socket) Of(ident uint16) mappings.Mapping {
	s.idents.RLock()
	defer s.idents.RUnlock()
	if i := int(ident - s.base); i < len(s.byIdent) {
		return s.byIdent[i]
	}
	return nil
}

// SendFor sends an echo request of a mapping, which has an identifier.
func (s *Socket) SendFor(
	m mappings.Mapping, ident uint16, out *hostsock.Msghdr, to netip.AddrPort, as packet.Marks,
	parts ...[]byte,
) syscall.Errno {
	s.sending.Lock()
	defer s.sending.Unlock()
	if s.Of(ident) != m {
		return unix.EBADF // the mapping has ended
	}
	return s.Send(out, to, as, 0, parts...)
}

// Ready implements sched.Watcher.
func (s *Socket) Ready(events uint32) { s.ready(s, events) }
