package pathmtu

import (
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// linkMTU returns the MTU of the link by which packets to an address leave, whatever ICMP or a
// route says of the way behind it; 0 = unknown.
func linkMTU(a netip.Addr) int {
	routes, err := netlink.RouteGet(net.IP(a.AsSlice()))
	if err != nil || len(routes) == 0 {
		return 0
	}
	link, err := net.InterfaceByIndex(routes[0].LinkIndex)
	if err != nil {
		return 0
	}
	return link.MTU
}
