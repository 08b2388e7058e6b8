package dial

import (
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"syntap/tun/packet"
)

// Routes asks the kernel how datagrams leave. Its sockets are marked and bound like those that
// carry datagrams, but never send. It belongs to one goroutine.
type Routes struct {
	dialer *Dialer
	o      *settings // that the sockets were opened with
	fds    [2]int    // of IPv4 and of IPv6; -1 = none yet
}

// NewRoutes returns the Routes for the dialer's sockets.
func (d *Dialer) NewRoutes() *Routes { return &Routes{dialer: d, fds: [2]int{-1, -1}} }

// Source returns the address of this host that a datagram to target leaves from, or an error if it
// cannot leave.
func (r *Routes) Source(target netip.AddrPort) (netip.Addr, error) {
	fd, err := r.connect(target)
	if err != nil {
		return netip.Addr{}, err
	}
	local := LocalAddr(fd).Addr()
	if local.IsLinkLocalUnicast() && local.Is6() {
		local = local.WithZone(target.Addr().Zone())
	}
	return local, nil
}

// MTU returns the MTU of the route to target, or that of the path if the kernel has learned it; 0
// if there is no route.
func (r *Routes) MTU(target netip.AddrPort) packet.MTU {
	fd, err := r.connect(target)
	if err != nil {
		return 0
	}
	return PathMTU(fd, target.Addr())
}

// connect connects a socket to target, which sends nothing.
func (r *Routes) connect(target netip.AddrPort) (fd int, err error) {
	if o := r.dialer.o.Load(); o != r.o {
		r.Close()
		r.o = o
	}
	p := &r.fds[0]
	if target.Addr().Is6() {
		p = &r.fds[1]
	}
	if *p < 0 {
		if *p, err = r.dialer.Datagram(target.Addr()); err != nil {
			return -1, err
		}
	} else {
		disconnect(*p) // or it would keep its source address
	}
	if errno := Connect(*p, target); errno != 0 {
		return -1, errno
	}
	return *p, nil
}

func disconnect(fd int) {
	sa := unix.RawSockaddr{Family: unix.AF_UNSPEC}
	_, _, _ = syscall.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&sa)), unsafe.Sizeof(sa))
}

// Close closes the sockets. The next question opens others.
func (r *Routes) Close() {
	for i, fd := range r.fds {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
		r.fds[i] = -1
	}
}
