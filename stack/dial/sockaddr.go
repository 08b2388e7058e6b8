//go:build linux

package dial

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Sockaddr is a socket address as the kernel takes and gives it (struct sockaddr_in or
// sockaddr_in6), for calls made without allocation.
type Sockaddr struct {
	raw unix.RawSockaddrInet6 // the larger of the two
	len uint32
}

// Set makes a the address of ap. A zone is the name or the number of an interface (RFC 4007 §11.2).
func (a *Sockaddr) Set(ap netip.AddrPort) {
	if ap.Addr().Is4() {
		sa := (*unix.RawSockaddrInet4)(unsafe.Pointer(&a.raw))
		*sa = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: ap.Addr().As4()}
		putPort(&sa.Port, ap.Port())
		a.len = unix.SizeofSockaddrInet4
		return
	}
	a.raw = unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: ap.Addr().As16(), Scope_id: scopeID(ap.Addr().Zone())}
	putPort(&a.raw.Port, ap.Port())
	a.len = unix.SizeofSockaddrInet6
}

// scopeID returns the number of the zone's interface, 0 where there is none.
func scopeID(zone string) uint32 {
	if zone == "" {
		return 0
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n)
	}
	link, err := net.InterfaceByName(zone)
	if err != nil {
		return 0
	}
	return uint32(link.Index)
}

// AddrPort returns the address, without a zone; IPv4-mapped addresses are unmapped.
func (a *Sockaddr) AddrPort() netip.AddrPort {
	switch a.raw.Family {
	case unix.AF_INET:
		sa := (*unix.RawSockaddrInet4)(unsafe.Pointer(&a.raw))
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), port(&sa.Port))
	case unix.AF_INET6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.raw.Addr).Unmap(), port(&a.raw.Port))
	}
	return netip.AddrPort{}
}

// Reset makes a ready to be filled by the kernel.
func (a *Sockaddr) Reset() { a.len = unix.SizeofSockaddrInet6 }

// Pointer returns the address's memory and its length field, for recvmsg, sendmsg and getsockname.
func (a *Sockaddr) Pointer() (name *byte, namelen *uint32) {
	return (*byte)(unsafe.Pointer(&a.raw)), &a.len
}

func putPort(p *uint16, port uint16) {
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(p))[:], port)
}

func port(p *uint16) uint16 {
	return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(p))[:])
}

// LocalAddr returns the address a socket is bound to, or the zero value.
func LocalAddr(fd int) netip.AddrPort {
	var sa Sockaddr
	sa.Reset()
	if _, _, errno := syscall.RawSyscall(unix.SYS_GETSOCKNAME, uintptr(fd),
		uintptr(unsafe.Pointer(&sa.raw)), uintptr(unsafe.Pointer(&sa.len))); errno != 0 {
		return netip.AddrPort{}
	}
	return sa.AddrPort()
}

func bindTo(fd int, to netip.AddrPort) error {
	var sa Sockaddr
	sa.Set(to)
	if _, _, errno := syscall.RawSyscall(unix.SYS_BIND, uintptr(fd), uintptr(unsafe.Pointer(&sa.raw)), uintptr(sa.len)); errno != 0 {
		return errno
	}
	return nil
}
