//go:build linux

package stack

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"syntap/stack/dial"
)

// openEcho opens a ping socket or, where the host grants none (net.ipv4.ping_group_range), a raw
// one. On the host both have an identifier of their own, since the client's may be in use: ping
// sockets share one without complaint, and then get each other's replies.
func (m *mapping) openEcho() (err error) {
	dialer := m.nat.dialer
	m.fd, err = dialer.Ping(m.key.local)
	if errors.Is(err, unix.EACCES) {
		m.raw = true
		m.fd, err = dialer.RawPing(m.key.local)
	}
	if errors.Is(err, unix.EPERM) {
		m.nat.noEchoes.Do(func() {
			m.nat.o.Log.WithError(err).Warn("ping does not work: net.ipv4.ping_group_range excludes this group, and CAP_NET_RAW is missing")
		})
	}
	if err != nil {
		return err
	}
	if m.raw {
		if err := m.filterReplies(); err != nil {
			return err
		}
	}
	if err := m.bind(0); err != nil {
		return fmt.Errorf("bind echo socket: %w", err)
	}
	if m.raw {
		return nil
	}
	m.own = dial.LocalAddr(m.fd)
	return nil
}

// filterReplies has a raw socket take only the echo replies with its identifier, out of all ICMP
// that the host gets.
func (m *mapping) filterReplies() error {
	if m.fd > 1<<16-1 {
		return fmt.Errorf("choose echo identifier: %w", unix.EMFILE)
	}
	ident := m.nat.table.identBase + uint16(m.fd) // no other socket of ours has it
	m.own = netip.AddrPortFrom(m.key.local, ident)
	filter := replyFilter(m.v6(), ident)
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.SetsockoptSockFprog(m.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program); err != nil {
		return fmt.Errorf("filter raw socket: %w", err)
	}
	return nil
}

// replyFilter is classic BPF. A raw IPv4 socket gives packets with their IP header, an IPv6 one
// without.
func replyFilter(v6 bool, ident uint16) []unix.SockFilter {
	x, reply := unix.SockFilter{Code: unix.BPF_LDX | unix.BPF_B | unix.BPF_MSH}, uint32(icmp4EchoReply) // the IP header's length
	if v6 {
		x, reply = unix.SockFilter{Code: unix.BPF_LDX | unix.BPF_IMM}, icmp6EchoReply // 0
	}
	const all = 1 << 18
	return []unix.SockFilter{
		x,
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_IND, K: 0}, // the type
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: reply, Jf: 3},
		{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_IND, K: 4}, // the identifier
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(ident), Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: all},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	}
}
