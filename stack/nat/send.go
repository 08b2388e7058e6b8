//go:build linux

package nat

import (
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"

	"syntap/stack/nat/flows"
	"syntap/stack/nat/gso"
	"syntap/stack/nat/hostsock"
	tunflow "syntap/tun/flow"
	"syntap/tun/packet"
)

// send sends a frame of a client through its mapping once the frame's flow is on record. It returns
// the host's error. changed means that another socket than the flow's has sent the frame: the flow
// has ended, and the frame was not handled.
func (n *NAT) send(
	m *mapping, f *gso.Frame, target netip.AddrPort, id *identity,
) (errno syscall.Errno, changed bool) {
	if n.recorder == nil {
		m.flows.Sending.Lock()
		defer m.flows.Sending.Unlock()
		_, _, errno = m.SendFrame(&n.out, f, target)
		return errno, false
	}
	for known := true; ; known = false {
		m.flows.Sending.Lock()
		l, passage := m.flows.Pass(f, target, &id.key, id.now, id.checked)
		if known && l != nil {
			l.ReadInitials(f, &n.message)
		}
		if passage == flows.Counted {
			packets, bytes, errno := m.SendFrame(&n.out, f, target)
			if errno != 0 {
				m.flows.Failed(l, f.Datagrams()-packets, f.Payload()-bytes, errno)
			}
			m.flows.Sending.Unlock()
			return errno, false
		}
		m.flows.Sending.Unlock()
		switch {
		case passage == flows.Unnamed:
			id.checked = true
			l.CheckName(f, &n.message)
			continue
		case passage == flows.Forbidden:
			f.Drop(&n.stats.DropDenied)
			n.reject(f, l.Opened(), packet.ICMPProhibited, packet.ICMPv6Prohibited)
			return 0, false
		case passage == flows.Doubtful:
			if l.Changed(id.now) {
				n.rulings.forget(ruledKey{id.client, id.key.Server})
				return 0, true
			}
		case passage == flows.Kept || !n.open(m, f, target, id):
			return 0, false
		}
	}
}

// open begins the flow of a frame, or counts the frame if it may not.
func (n *NAT) open(m *mapping, f *gso.Frame, target netip.AddrPort, id *identity) bool {
	d := newDatagram(f, id)
	d.Upstream = target
	l, full := m.flows.Open(id.key, d, id.now)
	if full != nil {
		f.Drop(full)
		return false
	}
	if !id.client.Echo && !id.key.Query {
		l.ReadQUIC(f, &n.message)
	}
	if a := l.Admit(); a != tunflow.Admit {
		n.refused(f, a)
		return false
	}
	id.checked = false
	return true
}

// SendFrame sends the datagrams or the echo request of a frame. It returns the number of datagrams
// sent and their payload in bytes: the host may accept only some of a GSO packet. The lock Sending
// of its flows is held.
func (m *mapping) SendFrame(
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

// sendUDP sends the payload of a frame that UDPLength accepts. The kernel cuts a GSO packet; where
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

// sendEcho sends an echo request under the identifier of the socket.
func (m *mapping) sendEcho(out *hostsock.Msghdr, f *gso.Frame, to netip.AddrPort) syscall.Errno {
	request := f.Head[f.Headers.Offset:]
	setEchoIdent(request, m.Own.Port())
	defer setEchoIdent(request, m.Client.Port())
	head, body := f.Slice(f.Headers.Offset, f.Headers.Length)
	return m.sendSurely(out, to, f.Marks(), 0, head, body)
}

// sendSurely sends through a socket that may have a pending ICMP error. The kernel returns that
// error from the next call instead of sending, so sendSurely calls again.
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

// send sends parts with the client's marks, except those that DF overrules.
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
		return m.raw.SendFor(m, m.Own.Port(), out, to, as, parts...)
	}
	return m.Send(out, to, as, segment, parts...)
}
