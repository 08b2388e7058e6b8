//go:build linux

package hostsock

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"syntap/stack/dial"
	"syntap/tun/packet"
)

// Msghdr is the memory of one sendmsg or recvmsg (struct msghdr). It is kept between calls, so that
// a datagram costs no allocation, and belongs to one goroutine.
type Msghdr struct {
	header unix.Msghdr
	Peer   dial.Sockaddr // of the datagram last sent or received
	iov    [3]unix.Iovec
	buffer [24]uint64 // control messages; words, because the kernel requires alignment

	// Of the datagram last received, after ReadControl.
	Segment int          // length of the datagrams that came as one (UDP_GRO); 0 for a single one
	Marks   packet.Marks // Whole is unknown
	Lost    uint32       // datagrams that the socket had dropped before, in all (SO_RXQ_OVFL)
}

// Send sends parts as one datagram or, where segment is not 0, as datagrams of segment bytes each
// (UDP_SEGMENT).
func (m *Msghdr) Send(fd int, to netip.AddrPort, segment int, parts ...[]byte) syscall.Errno {
	m.Peer.Set(to)
	if segment == 0 && len(parts[len(parts)-1]) == 0 && len(parts[0]) > 0 {
		return m.sendOne(fd, parts[0]) // cheaper than a header for it
	}
	m.reset()
	m.setParts(parts)
	if segment > 0 {
		c := (*unix.Cmsghdr)(unsafe.Pointer(&m.buffer[0]))
		c.Level, c.Type = unix.SOL_UDP, unix.UDP_SEGMENT
		c.SetLen(unix.CmsgLen(2))
		*(*uint16)(unsafe.Add(unsafe.Pointer(c), unix.CmsgLen(0))) = uint16(segment)
		m.setControl(unix.CmsgSpace(2))
	}
	for {
		_, _, errno := syscall.RawSyscall(unix.SYS_SENDMSG, uintptr(fd),
			uintptr(unsafe.Pointer(&m.header)), 0)
		if errno != unix.EINTR {
			return errno
		}
	}
}

// sendOne sends one piece of memory as a datagram to peer.
func (m *Msghdr) sendOne(fd int, b []byte) syscall.Errno {
	name, length := m.Peer.Pointer()
	for {
		_, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd),
			uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), 0,
			uintptr(unsafe.Pointer(name)), uintptr(*length))
		if errno != unix.EINTR {
			return errno
		}
	}
}

// Receive reads one datagram, or several of one length that arrived together (UDP_GRO), into b.
func (m *Msghdr) Receive(fd int, b []byte, flags int) (int, syscall.Errno) {
	m.Peer.Reset()
	m.reset()
	m.setParts([][]byte{b})
	m.setControl(len(m.buffer) * 8)
	for {
		n, _, errno := syscall.RawSyscall(unix.SYS_RECVMSG, uintptr(fd),
			uintptr(unsafe.Pointer(&m.header)), uintptr(flags))
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

func (m *Msghdr) reset() {
	name, length := m.Peer.Pointer()
	m.header = unix.Msghdr{Name: name, Namelen: *length}
}

func (m *Msghdr) setParts(parts [][]byte) {
	n := 0
	for _, b := range parts {
		if len(b) > 0 {
			m.iov[n].Base = &b[0]
			m.iov[n].SetLen(len(b))
			n++
		}
	}
	m.header.Iov = &m.iov[0]
	m.header.SetIovlen(n)
}

func (m *Msghdr) setControl(size int) {
	m.header.Control = (*byte)(unsafe.Pointer(&m.buffer[0]))
	m.header.SetControllen(size)
}

// eachControl calls f with each control message of the datagram last received.
func (m *Msghdr) eachControl(f func(level, typ int32, data []byte)) {
	rest := unsafe.Slice((*byte)(unsafe.Pointer(&m.buffer[0])), int(m.header.Controllen))
	for len(rest) >= unix.SizeofCmsghdr {
		c, data, next, err := unix.ParseOneSocketControlMessage(rest)
		if err != nil {
			return
		}
		f(c.Level, c.Type, data)
		rest = next
	}
}

// found returns the data of a control message of the datagram last received, or nil.
func (m *Msghdr) found(level, typ int32) (found []byte) {
	m.eachControl(func(l, t int32, data []byte) {
		if l == level && t == typ {
			found = data
		}
	})
	return found
}

// ReadControl reads the control messages of the datagram last received.
func (m *Msghdr) ReadControl() {
	m.Segment, m.Lost = 0, 0
	m.Marks = packet.Marks{HopLimit: packet.DefaultHopLimit}
	m.eachControl(func(level, typ int32, data []byte) {
		word := func() (v uint32) {
			if len(data) >= 4 {
				v = binary.NativeEndian.Uint32(data)
			}
			return v
		}
		switch (option{level: int(level), name: int(typ)}) {
		case option{level: unix.SOL_UDP, name: unix.UDP_GRO}:
			m.Segment = int(word())
		case option{level: unix.SOL_SOCKET, name: unix.SO_RXQ_OVFL}:
			m.Lost = word()
		case option{level: unix.IPPROTO_IP, name: unix.IP_TTL},
			option{level: unix.IPPROTO_IPV6, name: unix.IPV6_HOPLIMIT}:
			m.Marks.HopLimit = uint8(word())
		case option{level: unix.IPPROTO_IPV6, name: unix.IPV6_TCLASS}:
			m.Marks.TOS = uint8(word())
		case option{level: unix.IPPROTO_IP, name: unix.IP_TOS}:
			if len(data) > 0 {
				m.Marks.TOS = data[0]
			}
		}
	})
}
