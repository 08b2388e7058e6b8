//go:build linux

package nat

import (
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"

	"syntap/stack/nat/gso"
	"syntap/stack/nat/hostsock"
	tunflow "syntap/tun/flow"
	"syntap/tun/packet"
)

// send sends a frame of a client by its mapping, once the flow of the frame is on record. It
// returns why the host did not. Where changed, another socket than the flow's has sent the frame:
// the flow has ended, and nothing was done with the frame.
func (n *NAT) send(
	m *mapping, f *gso.Frame, target netip.AddrPort, id *identity,
) (errno syscall.Errno, changed bool) {
	if n.recorder == nil {
		m.sending.Lock()
		defer m.sending.Unlock()
		_, _, errno = m.sendFrame(&n.out, f, target)
		return errno, false
	}
	for known := true; ; known = false {
		m.sending.Lock()
		l, passage := m.flows.pass(f, target, id)
		if known && l != nil && l.initials != nil {
			n.readInitials(l, f, 0)
		}
		if passage == counted {
			errno := m.sendCounted(&n.out, l, f, target)
			m.sending.Unlock()
			return errno, false
		}
		m.sending.Unlock()
		switch {
		case passage == unnamed:
			n.checkName(l, f, id)
			continue
		case passage == forbidden:
			f.Drop(&n.stats.DropDenied)
			n.reject(f, nil, packet.ICMPProhibited, packet.ICMPv6Prohibited)
			return 0, false
		case passage == doubtful:
			if n.changed(l, id.now) {
				return 0, true
			}
		case passage == kept || !n.open(m, f, target, id):
			return 0, false
		}
	}
}

// sendCounted sends a frame that its flow has counted. sending is held.
func (m *mapping) sendCounted(
	out *hostsock.Msghdr, l *flow, f *gso.Frame, target netip.AddrPort,
) syscall.Errno {
	packets, bytes, errno := m.sendFrame(out, f, target)
	if errno != 0 {
		m.flows.failed(l, f.Datagrams()-packets, f.Payload()-bytes, errno)
	}
	return errno
}

// open begins the flow of a frame. Where it may not, the frame is counted.
func (n *NAT) open(m *mapping, f *gso.Frame, target netip.AddrPort, id *identity) bool {
	r := n.recorder
	l := &flow{
		key: id.key, mapping: m, opened: newDatagram(f, id),
		began: id.now, used: id.now, sent: id.now,
	}
	l.opened.Upstream = target
	m.sending.Lock() // so that no flow ends with a datagram half sent
	ended, full := m.flows.add(l)
	m.sending.Unlock()
	r.report(ended...)
	if full != nil {
		f.Drop(full)
		return false
	}
	if !id.client.Echo && !id.key.query {
		n.readQUIC(l, f)
	}
	admission := r.o.Opened(l.opened)
	if m.flows.admit(l, admission == tunflow.Admit) {
		r.report(l)
	}
	if admission != tunflow.Admit {
		n.refused(f, admission)
		return false
	}
	id.checked = false
	n.beginCheck(l)
	return true
}

// sendFrame sends the datagrams or the echo request of a frame. Of a GSO packet some may have left
// where the host refuses others: it returns the number of datagrams that have, and their payload in
// bytes. m.sending is held.
func (m *mapping) sendFrame(
	out *hostsock.Msghdr, f *gso.Frame, to netip.AddrPort,
) (packets, bytes int, errno syscall.Errno) {
	if !m.Client.Echo {
		return m.sendUDP(out, f, to)
	}
	if errno = m.sendEcho(out, f, to); errno != 0 {
		return 0, 0, errno
	}
	return 1, f.Payload(), 0
}

// sendUDP sends the payload of a frame that udpLength accepts. The kernel cuts a GSO packet; where
// it refuses, for instance because the path takes smaller packets only, the datagrams go one by
// one.
func (m *mapping) sendUDP(
	out *hostsock.Msghdr, f *gso.Frame, to netip.AddrPort,
) (packets, bytes int, errno syscall.Errno) {
	length, segment, _ := f.UDPLength()
	from, end := f.Headers.Offset+packet.UDPHeaderLen, f.Headers.Offset+length
	as := f.Marks()
	refused := false
	if segment > 0 && !m.singly {
		head, body := f.Slice(from, end)
		errno = m.sendSurely(out, to, as, segment, head, body)
		switch errno {
		case 0:
			return f.Datagrams(), end - from, 0
		case unix.EINVAL, unix.EMSGSIZE, unix.EIO:
		default:
			return 0, 0, errno
		}
		refused = true
	}
	if segment == 0 {
		segment = max(1, end-from) // an empty datagram is one, too
	}
	for {
		head, body := f.Slice(from, min(from+segment, end))
		if errno = m.sendSurely(out, to, as, 0, head, body); errno != 0 {
			return packets, bytes, errno // of a GSO packet, each is too long for the path
		}
		packets++
		bytes += len(head) + len(body)
		if from += segment; from >= end {
			m.singly = m.singly || refused
			return packets, bytes, 0
		}
	}
}

// sendSurely sends for a socket that may have an ICMP error to report. The kernel reports an error
// to the next call, which then does nothing else: the datagram is sent again.
func (m *mapping) sendSurely(
	out *hostsock.Msghdr, to netip.AddrPort, as packet.Marks, segment int, parts ...[]byte,
) syscall.Errno {
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

// send sends parts with the client's marks, but for those that DF overrules.
func (m *mapping) send(
	out *hostsock.Msghdr, to netip.AddrPort, as packet.Marks, segment int, parts ...[]byte,
) syscall.Errno {
	switch m.df {
	case packet.SetDF, packet.EnforceDF:
		as.Whole = true
	case packet.ClearDF:
		as.Whole = false
	case packet.PreserveDF:
	}
	if m.raw != nil {
		return m.raw.sendFor(m, out, to, as, parts...)
	}
	return m.Send(out, to, as, segment, parts...)
}
