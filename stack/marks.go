//go:build linux

package stack

import (
	"fmt"

	"golang.org/x/sys/unix"

	"syntap/stack/dial"
)

// marks are what the IP header of a datagram says besides where it goes. They cross as they are, in
// both directions: on their way out as options of the host socket, set anew where they differ from
// those of the datagram before (IPv4 knows no control message for all of them), on their way back
// as control messages.
type marks struct {
	hopLimit uint8
	tos      uint8 // DSCP and ECN (RFC 2474 §3, RFC 3168 §5); the traffic class of IPv6
	whole    bool  // may not be fragmented: DF of IPv4; of IPv6, what the client has not fragmented itself
}

// marks returns a frame's.
func (f *frame) marks() marks {
	if f.ip.v6 {
		return marks{hopLimit: f.head[7], tos: f.head[0]<<4 | f.head[1]>>4, whole: !f.pieces}
	}
	return marks{hopLimit: f.head[8], tos: f.head[1], whole: f.head[6]&0x40 != 0}
}

// setTOS writes DSCP and ECN into a header whose field is zero.
func (h *ipHeader) setTOS(head []byte, tos uint8) {
	if h.v6 {
		head[0], head[1] = head[0]|tos>>4, head[1]|tos<<4
		return
	}
	head[1] = tos
}

// mark has the socket send with the given marks.
func (m *mapping) mark(to marks) error {
	switch m.df {
	case dial.SetDF:
		to.whole = true
	case dial.ClearDF:
		to.whole = false
	}
	if to == m.marks {
		return nil
	}
	level, hopLimit, tos := unix.IPPROTO_IP, unix.IP_TTL, unix.IP_TOS
	if m.v6() {
		level, hopLimit, tos = unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, unix.IPV6_TCLASS
	}
	if to.hopLimit != m.marks.hopLimit {
		if err := unix.SetsockoptInt(m.fd, level, hopLimit, int(to.hopLimit)); err != nil { // it is 0
			return fmt.Errorf("set hop limit: %w", err)
		}
	}
	if to.tos != m.marks.tos {
		if err := unix.SetsockoptInt(m.fd, level, tos, int(to.tos)); err != nil {
			return fmt.Errorf("set TOS: %w", err)
		}
	}
	if to.whole != m.marks.whole {
		if err := m.setWhole(to.whole); err != nil {
			return err
		}
	}
	m.marks = to
	return nil
}

// setWhole says whether what the socket sends must not be fragmented. Then it does not look after
// the path MTU as other sockets of the host do: a packet that fits the link leaves, as from a
// router, and the network's answer is the client's.
func (m *mapping) setWhole(whole bool) error {
	type option struct{ level, name, value int }
	options := []option{{unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT}}
	switch {
	case m.v6() && whole:
		options = []option{{unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE}, {unix.IPPROTO_IPV6, unix.IPV6_DONTFRAG, 1}}
	case m.v6():
		options = []option{{unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_WANT}, {unix.IPPROTO_IPV6, unix.IPV6_DONTFRAG, 0}}
	case whole:
		options[0].value = unix.IP_PMTUDISC_PROBE
	}
	for _, o := range options {
		if err := unix.SetsockoptInt(m.fd, o.level, o.name, o.value); err != nil {
			return fmt.Errorf("set path MTU discovery: %w", err)
		}
	}
	return nil
}

// wantMarks has the socket tell the marks of what it receives.
func (m *mapping) wantMarks() error {
	level, options := unix.IPPROTO_IP, []int{unix.IP_RECVTTL, unix.IP_RECVTOS}
	if m.v6() {
		level, options = unix.IPPROTO_IPV6, []int{unix.IPV6_RECVHOPLIMIT, unix.IPV6_RECVTCLASS}
	}
	for _, o := range options {
		if err := unix.SetsockoptInt(m.fd, level, o, 1); err != nil {
			return fmt.Errorf("ask for hop limit and TOS: %w", err)
		}
	}
	return nil
}
