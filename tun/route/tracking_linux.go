package route

import (
	"net"
	"net/netip"
	"time"

	"syntap/tun/nft"
)

// trackedNow asks the kernel whether it tracks connections now, in the calling thread's network
// namespace. A rule of one family has that family tracked alone. Entries of the past tell nothing:
// they stay for days. In doubt, packets are not tracked.
func trackedNow() (t tracked) {
	for loopback, family := range map[netip.Addr]*bool{
		netip.AddrFrom4([4]byte{127, 0, 0, 1}): &t.ipv4,
		netip.IPv6Loopback():                   &t.ipv6,
	} {
		flow, err := sendToItself(loopback)
		*family = err == nil && nft.HasEntry(flow[0], flow[1]) == nil
	}
	return t
}

// loopbackPatience bounds the wait for a datagram, which a firewall of the host may drop.
const loopbackPatience = time.Second

// sendToItself sends a datagram from a socket to itself, and returns when it has arrived.
func sendToItself(loopback netip.Addr) (f flow, err error) {
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(loopback, 0)))
	if err != nil {
		return f, err
	}
	defer c.Close()
	itself := c.LocalAddr().(*net.UDPAddr).AddrPort() //nolint:forcetypeassert // of a UDP socket
	if _, err := c.WriteToUDPAddrPort([]byte("?"), itself); err != nil {
		return f, err
	}
	if err := c.SetReadDeadline(time.Now().Add(loopbackPatience)); err != nil {
		return f, err
	}
	_, _, err = c.ReadFromUDPAddrPort(make([]byte, 1))
	return flow{itself, itself}, err
}
