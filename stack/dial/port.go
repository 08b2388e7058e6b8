//go:build linux

package dial

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// privileged is the first port that every program may bind (RFC 6335 §6: the system ports are below
// it).
const privileged = 1024

// anyPort lets the kernel choose.
var anyPort = []uint16{0}

// SourcePorts returns the ports to try, in turn, for a TCP socket of a client that sends from port;
// 0 = one that the kernel chooses. A port below those that kernels choose
// (net.ipv4.ip_local_port_range) is one that the client has asked for: its far side may expect it,
// as in a simultaneous open.
func (d *Dialer) SourcePorts(port uint16) []uint16 {
	switch {
	case port < privileged:
		return SystemPorts(port)
	case port < d.firstEphemeral:
		return []uint16{port, 0}
	}
	return anyPort
}

// SystemPorts returns the ports to try, in turn, for a socket of a client that sends from port; 0 =
// one that the kernel chooses. A system port shows far sides that the client is privileged, so
// another system port is better than none, as in Linux's NAT.
func SystemPorts(port uint16) []uint16 {
	if port == 0 || port >= privileged {
		return anyPort
	}
	const tries = 16
	first, n := uint16(1), uint16(511)
	if port >= 512 {
		first, n = 600, privileged-600
	}
	ports := []uint16{port}
	for range tries {
		ports = append(ports, first+rand.N(n))
	}
	return append(ports, 0)
}

// Bind gives a TCP socket to target its source port, at the address that the host sends from: bound
// to any address, it would collide with the client's own socket. The very address and port of the
// client would keep it from connecting again, and return EADDRINUSE.
func (d *Dialer) Bind(fd int, target netip.AddrPort, port uint16, client netip.AddrPort) error {
	route, err := d.Datagram(target.Addr())
	if err != nil {
		return err
	}
	defer unix.Close(route)
	if errno := Connect(route, target); errno != 0 { // sends nothing
		return errno
	}
	addr := LocalAddr(route).Addr()
	if netip.AddrPortFrom(addr, port) == client {
		return unix.EADDRINUSE
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil { // for other destinations, and beside TIME-WAIT
		return fmt.Errorf("set SO_REUSEADDR: %w", err)
	}
	return d.BindTo(fd, netip.AddrPortFrom(addr.WithZone(target.Addr().Zone()), port))
}

// BindSource gives a TCP socket its source address, and its port; 0 = the kernel chooses it when
// the socket connects.
func (d *Dialer) BindSource(fd int, source netip.AddrPort) error {
	level, option := unix.SOL_SOCKET, unix.SO_REUSEADDR // for other destinations, and beside TIME-WAIT
	if source.Port() == 0 {
		level, option = unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT
	}
	if err := unix.SetsockoptInt(fd, level, option, 1); err != nil {
		return fmt.Errorf("set option %d of level %d: %w", option, level, err)
	}
	return d.BindTo(fd, source)
}

// BindTo binds a socket to an address, which may have a zone.
func (d *Dialer) BindTo(fd int, to netip.AddrPort) error {
	if s := d.o.Load().Sockets; s != nil && to.Port() > 0 && to.Port() < privileged {
		return s.Bind(fd, to)
	}
	return bindTo(fd, to)
}

// readFirstEphemeral returns the least port that the kernel, or a client's with its usual range,
// gives to sockets without one.
func readFirstEphemeral() uint16 {
	const usual = 32768
	b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	first := uint16(usual)
	if err == nil {
		_, _ = fmt.Sscan(string(b), &first)
	}
	return min(first, usual)
}
