package dial

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"syntap/tun/packet"
	"syntap/tun/raw"
)

// The bounds of Linux for TCP_MAXSEG (TCP_MIN_MSS and MAX_TCP_WINDOW in include/net/tcp.h).
const (
	minMSS = 88
	maxMSS = 32767
)

// SetMSS makes a TCP socket that has not connected yet announce and send at most mss bytes in one
// segment. It returns the value that was set: Linux accepts 88 to 32767.
func SetMSS(fd int, mss packet.MSS) (packet.MSS, error) {
	mss = min(max(mss, minMSS), maxMSS)
	if err := raw.SetOption(fd, unix.IPPROTO_TCP, unix.TCP_MAXSEG, int32(mss)); err != nil {
		return 0, fmt.Errorf("set TCP_MAXSEG to %d: %w", mss, err)
	}
	return mss, nil
}

// SetDF sets IP_MTU_DISCOVER on an IPv4 socket. packet.PreserveDF leaves it to the kernel; with
// packet.SetDF and packet.EnforceDF a packet that is too long is not sent.
func SetDF(fd int, df packet.DF) error {
	var discover int32
	switch df {
	case packet.PreserveDF:
		return nil
	case packet.SetDF, packet.EnforceDF:
		discover = unix.IP_PMTUDISC_DO
	case packet.ClearDF:
		discover = unix.IP_PMTUDISC_DONT
	}
	if err := raw.SetOption(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, discover); err != nil {
		return fmt.Errorf("set IP_MTU_DISCOVER to %d: %w", discover, err)
	}
	return nil
}

// PathMTU returns the path MTU that a connected socket towards target knows, or 0.
func PathMTU(fd int, target netip.Addr) packet.MTU {
	level, option := unix.IPPROTO_IP, unix.IP_MTU
	if target.Is6() {
		level, option = unix.IPPROTO_IPV6, unix.IPV6_MTU
	}
	mtu, err := unix.GetsockoptInt(fd, level, option)
	if err != nil {
		return 0
	}
	return packet.MTU(mtu)
}

// ClientMTU returns the MTU of the host's route to a client; 0 if there is none. The route is not
// bound to Options.Interface, which is for far sides.
func (d *Dialer) ClientMTU(client netip.Addr) packet.MTU {
	o := d.o.Load().Options
	o.Interface = ""
	bare := new(Dialer)
	bare.o.Store(&settings{Options: o})
	return bare.RouteMTU(netip.AddrPortFrom(client, 9)) // any port
}

// RouteMTU returns the MTU of the route that a socket to target takes, or that of the path if the
// kernel has learned it; 0 if there is no route.
func (d *Dialer) RouteMTU(target netip.AddrPort) packet.MTU {
	fd, err := d.Datagram(target.Addr())
	if err != nil {
		return 0
	}
	defer unix.Close(fd)
	if Connect(fd, target) != 0 { // sends nothing
		return 0
	}
	return PathMTU(fd, target.Addr())
}
