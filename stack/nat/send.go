//go:build linux

package nat

import (
	"encoding/binary"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"

	"syntap/tun/packet"
)

// sendFrame sends the datagrams or the echo request of a frame. Of a GSO packet some may have left
// where the host refuses others: it returns the number of datagrams that have, and their payload in
// bytes. m.sending is held.
func (m *mapping) sendFrame(
	out *msghdr, f *Frame, to netip.AddrPort,
) (packets, bytes int, errno syscall.Errno) {
	if !m.key.client.echo {
		return m.sendUDP(out, f, to)
	}
	if errno = m.sendEcho(out, f, to); errno != 0 {
		return 0, 0, errno
	}
	return 1, f.payload(), 0
}

// sendUDP sends the payload of a frame that udpLength accepts. The kernel cuts a GSO packet; where
// it refuses, for instance because the path takes smaller packets only, the datagrams go one by
// one.
func (m *mapping) sendUDP(
	out *msghdr, f *Frame, to netip.AddrPort,
) (packets, bytes int, errno syscall.Errno) {
	length, segment, _ := f.udpLength()
	from, end := f.Headers.Offset+packet.UDPHeaderLen, f.Headers.Offset+length
	as := f.marks()
	refused := false
	if segment > 0 && !m.singly {
		head, body := f.slice(from, end)
		errno = m.sendSurely(out, to, as, segment, head, body)
		switch errno {
		case 0:
			return f.datagrams(), end - from, 0
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
		head, body := f.slice(from, min(from+segment, end))
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
func (m *mapping) sendEcho(out *msghdr, f *Frame, to netip.AddrPort) syscall.Errno {
	request := f.Head[f.Headers.Offset:]
	setEchoIdent(request, m.own.Port())
	defer setEchoIdent(request, m.key.client.Port())
	head, body := f.slice(f.Headers.Offset, f.Headers.Length)
	return m.sendSurely(out, to, f.marks(), 0, head, body)
}

// sendSurely sends for a socket that may have an ICMP error to report. The kernel reports an error
// to the next call, which then does nothing else: the datagram is sent again.
func (m *mapping) sendSurely(
	out *msghdr, to netip.AddrPort, as marks, segment int, parts ...[]byte,
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

func icmpProto(v6 bool) uint8 {
	if v6 {
		return packet.ProtoICMPv6
	}
	return packet.ProtoICMP
}

// echoIdent returns the identifier of an echo message.
func echoIdent(message []byte) uint16 { return binary.BigEndian.Uint16(message[4:]) }

// setEchoIdent changes the identifier of an echo message, and its checksum with it.
func setEchoIdent(message []byte, ident uint16) {
	sum := binary.BigEndian.Uint16(message[2:])
	sum = packet.UpdateChecksum(sum, echoIdent(message), ident)
	binary.BigEndian.PutUint16(message[2:], sum)
	binary.BigEndian.PutUint16(message[4:], ident)
}
