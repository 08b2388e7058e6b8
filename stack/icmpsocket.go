//go:build linux

package stack

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"syntap/stack/dial"
)

// openEcho opens a ping socket or, where the host grants none (net.ipv4.ping_group_range), a raw one. On the host both
// have an identifier of their own, since the client's may be in use: ping sockets share one without complaint, and then
// get each other's replies.
func (m *mapping) openEcho() (err error) {
	dialer := m.stack.dialer
	m.fd, err = dialer.Ping(m.key.anyAddr())
	if errors.Is(err, unix.EACCES) {
		m.raw = true
		m.fd, err = dialer.RawPing(m.key.anyAddr())
	}
	if errors.Is(err, unix.EPERM) {
		m.stack.noEchoes.Do(func() {
			m.stack.o.Log.WithError(err).Warn("ping does not work: net.ipv4.ping_group_range excludes this group, and CAP_NET_RAW is missing")
		})
	}
	if err != nil {
		return err
	}
	level, recvHopLimit := unix.IPPROTO_IP, unix.IP_RECVTTL
	if m.key.v6 {
		level, recvHopLimit = unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT
	}
	if err := unix.SetsockoptInt(m.fd, level, recvHopLimit, 1); err != nil {
		return fmt.Errorf("ask for hop limits: %w", err)
	}
	if m.raw {
		return m.filterReplies()
	}
	if err := m.bind(0); err != nil {
		return fmt.Errorf("choose echo identifier: %w", err)
	}
	m.ident = dial.LocalAddr(m.fd).Port()
	return nil
}

// filterReplies has a raw socket take only the echo replies with its identifier, out of all ICMP that the host gets.
func (m *mapping) filterReplies() error {
	if m.fd > 1<<16-1 {
		return fmt.Errorf("choose echo identifier: %w", unix.EMFILE)
	}
	m.ident = m.stack.nat.identBase + uint16(m.fd) // no other socket of ours has it
	filter := replyFilter(m.key.v6, m.ident)
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.SetsockoptSockFprog(m.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program); err != nil {
		return fmt.Errorf("filter raw socket: %w", err)
	}
	return nil
}

// replyFilter is classic BPF. A raw IPv4 socket gives packets with their IP header, an IPv6 one without.
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
