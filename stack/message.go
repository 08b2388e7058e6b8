//go:build linux

package stack

import (
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"syntap/stack/dial"
)

// message is the memory of one sendmsg or recvmsg. It is kept between calls, so that a datagram
// costs no allocation, and belongs to one goroutine.
type message struct {
	header  unix.Msghdr
	peer    dial.Sockaddr
	iov     [3]unix.Iovec
	control [24]uint64 // control messages; words, because the kernel wants them aligned
}

// send sends parts as one datagram or, where segment is not 0, as datagrams of segment bytes each
// (UDP_SEGMENT).
func (m *message) send(fd int, to netip.AddrPort, segment int, parts ...[]byte) syscall.Errno {
	m.peer.Set(to)
	if segment == 0 && len(parts[len(parts)-1]) == 0 && len(parts[0]) > 0 {
		return m.sendOne(fd, parts[0]) // cheaper than a header for it
	}
	m.header = unix.Msghdr{}
	var length *uint32
	m.header.Name, length = m.peer.Pointer()
	m.header.Namelen = *length
	m.setParts(parts)
	if segment > 0 {
		c := (*unix.Cmsghdr)(unsafe.Pointer(&m.control[0]))
		c.Level, c.Type = unix.SOL_UDP, unix.UDP_SEGMENT
		c.SetLen(unix.CmsgLen(2))
		*(*uint16)(unsafe.Add(unsafe.Pointer(c), unix.CmsgLen(0))) = uint16(segment)
		m.setControl(unix.CmsgSpace(2))
	}
	for {
		_, _, errno := syscall.RawSyscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&m.header)), 0)
		if errno != unix.EINTR {
			return errno
		}
	}
}

// sendOne sends one piece of memory as a datagram to peer.
func (m *message) sendOne(fd int, b []byte) syscall.Errno {
	name, length := m.peer.Pointer()
	for {
		_, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), 0, uintptr(unsafe.Pointer(name)), uintptr(*length))
		if errno != unix.EINTR {
			return errno
		}
	}
}

// receive reads one datagram, or several of one length that arrived together (UDP_GRO), into b.
func (m *message) receive(fd int, b []byte, flags int) (int, syscall.Errno) {
	m.peer.Reset()
	m.header = unix.Msghdr{}
	var length *uint32
	m.header.Name, length = m.peer.Pointer()
	m.header.Namelen = *length
	m.setParts([][]byte{b})
	m.setControl(len(m.control) * 8)
	for {
		n, _, errno := syscall.RawSyscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&m.header)), uintptr(flags))
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

func (m *message) setParts(parts [][]byte) {
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

func (m *message) setControl(size int) {
	m.header.Control = (*byte)(unsafe.Pointer(&m.control[0]))
	m.header.SetControllen(size)
}

// eachControl calls f with each control message of the last datagram received.
func (m *message) eachControl(f func(level, typ int32, data []byte)) {
	rest := unsafe.Slice((*byte)(unsafe.Pointer(&m.control[0])), int(m.header.Controllen))
	for len(rest) >= unix.SizeofCmsghdr {
		c, data, next, err := unix.ParseOneSocketControlMessage(rest)
		if err != nil {
			return
		}
		f(c.Level, c.Type, data)
		rest = next
	}
}

// received returns the data of a control message that came with the last datagram, or nil.
func (m *message) received(level, typ int32) (found []byte) {
	m.eachControl(func(l, t int32, data []byte) {
		if l == level && t == typ {
			found = data
		}
	})
	return found
}
