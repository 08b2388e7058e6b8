//go:build linux

package nat

import (
	"fmt"
	"net/netip"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"syntap/stack/dial"
	"syntap/stack/nat/gso"
	"syntap/stack/nat/hostsock"
	"syntap/stack/sched"
	"syntap/stack/sockmem"
	"syntap/tun/packet"
)

// rawSocket carries the echoes of all mappings at one address of the host, where the host grants no
// ping sockets (net.ipv4.ping_group_range). The kernel copies each ICMP packet that comes for an
// address to each raw socket there (Linux, net/ipv4/raw.c, raw_v4_input): with a socket for each
// mapping, one client could have the host copy each packet thousands of times.
type rawSocket struct {
	hostsock.Socket
	key     rawKey
	watch   sched.Watch
	inode   uint64
	replies *replies

	sending sync.Mutex // taken after Sending of the flows of a mapping

	idents  sync.RWMutex // guards the fields below
	base    uint16       // the first identifier; random, since other programs choose some, too
	byIdent []*mapping   // by identifier, from base on; nil for one that is free
	free    []uint16     // indexes of byIdent, the one that has been free longest first
	used    int
}

// rawKey tells one raw socket from another.
type rawKey struct {
	local netip.Addr
	link  string // the interface that it is bound to
}

const (
	fewIdents  = 64 // of a new raw socket
	mostIdents = 1 << 16

	// rawBuffer bounds what waits in a raw socket, in bytes, which no mapping is charged for. The
	// kernel doubles it.
	rawBuffer = 512 << 10
)

// open opens the socket at its address, without identifiers.
func (s *rawSocket) open(dialer *dial.Dialer) error {
	err := s.OpenRaw(dialer, s.key.local, func(fd int) error {
		if err := s.filterTypes(fd); err != nil {
			return fmt.Errorf("filter raw socket: %w", err)
		}
		return s.grow(fd)
	})
	if err == nil {
		sockmem.SetReceiveBuffer(s.FD(), rawBuffer)
	}
	return err
}

// filterTypes has the kernel copy echo replies alone.
func (s *rawSocket) filterTypes(fd int) error {
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
func (s *rawSocket) grow(fd int) error {
	before := len(s.byIdent)
	n := max(fewIdents, 2*before)
	if n > mostIdents {
		return fmt.Errorf("choose echo identifier: %w", unix.EADDRNOTAVAIL)
	}
	filter := identFilter(s.V6, s.base, n)
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program)
	if err != nil {
		return fmt.Errorf("filter raw socket: %w", err)
	}
	s.byIdent = append(s.byIdent, make([]*mapping, n-before)...)
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

// enter gives a mapping an identifier.
func (s *rawSocket) enter(m *mapping) error {
	s.idents.Lock()
	defer s.idents.Unlock()
	if len(s.free) == 0 {
		if err := s.grow(s.FD()); err != nil {
			return err
		}
	}
	i := s.free[0]
	s.free = s.free[1:]
	m.raw, m.Echo, m.Own = s, true, netip.AddrPortFrom(s.key.local, s.base+i)
	s.byIdent[i] = m
	s.used++
	return nil
}

// leave takes the identifier of a mapping back, and reports whether no mapping is left.
func (s *rawSocket) leave(m *mapping) (last bool) {
	s.idents.Lock()
	defer s.idents.Unlock()
	i := m.Own.Port() - s.base
	if s.byIdent[i] != m {
		return false
	}
	s.byIdent[i] = nil
	s.free = append(s.free, i)
	s.used--
	return s.used == 0
}

// mapping returns the mapping that an identifier belongs to, or nil.
func (s *rawSocket) mapping(ident uint16) *mapping {
	s.idents.RLock()
	defer s.idents.RUnlock()
	if i := int(ident - s.base); i < len(s.byIdent) {
		return s.byIdent[i]
	}
	return nil
}

// sendFor sends an echo request of a mapping.
func (s *rawSocket) sendFor(
	m *mapping, out *hostsock.Msghdr, to netip.AddrPort, as packet.Marks, parts ...[]byte,
) syscall.Errno {
	s.sending.Lock()
	defer s.sending.Unlock()
	if s.mapping(m.Own.Port()) != m {
		return unix.EBADF // the mapping has ended
	}
	return s.Send(out, to, as, 0, parts...)
}

// relayErrors passes on the ICMP errors that the socket has queued: those about the requests of all
// mappings, and about the messages of other programs.
func (s *rawSocket) relayErrors() {
	var msg hostsock.Msghdr
	request := byte(packet.ICMPEchoRequest)
	if s.V6 {
		request = packet.ICMPv6EchoRequest
	}
	quoted := make([]byte, packet.MaxICMPv6Error)
	for range maxErrors {
		n, errno := s.Receive(&msg, quoted, unix.MSG_ERRQUEUE)
		if errno != 0 {
			return
		}
		if n < packet.ICMPHeaderLen || quoted[0] != request {
			continue
		}
		if m := s.mapping(echoIdent(quoted)); m != nil {
			m.relayError(&msg, quoted[:n])
		}
	}
}

// Ready implements sched.Watcher.
func (s *rawSocket) Ready(events uint32) { s.replies.readyRaw(s, events) }

// readyRaw brings the clients of a raw socket the echo replies and ICMP errors that have come for
// them.
func (r *replies) readyRaw(s *rawSocket, events uint32) {
	if events&unix.EPOLLERR != 0 {
		s.relayErrors()
	}
	r.now = r.nat.table.Now()
	for range datagramsPerTurn {
		switch n, errno := s.Receive(&r.msg, r.buf[gso.Headroom:], 0); errno {
		case 0:
			r.receivedRaw(s, n)
		case unix.EAGAIN, unix.EBADF: // empty, or closed
			return
		default:
			s.relayErrors()
		}
	}
	s.Use(r.nat.poller.Rearm)
}

// receivedRaw takes the n bytes that have just come for the client of one of the mappings.
func (r *replies) receivedRaw(s *rawSocket, n int) {
	r.msg.ReadControl()
	r.nat.stats.DropReceiveQueue.Add(s.NewlyLost(r.msg.Lost))
	at, end := gso.Headroom, gso.Headroom+n
	if !s.V6 && n > 0 {
		at += int(r.buf[at]&15) * 4
	}
	if at+packet.ICMPHeaderLen > end {
		return
	}
	if m := s.mapping(echoIdent(r.buf[at:])); m != nil {
		r.receivedEcho(m, at, end)
	}
}
