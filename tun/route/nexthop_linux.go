package route

import (
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Attributes of a nexthop object (linux/nexthop.h).
const (
	nhaOIF     = 5
	nhaGateway = 6

	sizeofNhmsg = 8
)

// gateways returns the indexes of the interfaces of nexthop objects with a gateway. Routes may name
// an object instead of a gateway and an interface, and the kernel may be told to list them so
// (net.ipv4.nexthop_compat_mode). A kernel without such objects has none.
func (k *handles) gateways() (links []int) {
	ask := nl.NewNetlinkRequest(unix.RTM_GETNEXTHOP, unix.NLM_F_DUMP)
	ask.Sockets = map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: k.nexthops}
	ask.AddRawData(make([]byte, sizeofNhmsg))
	all, err := dump(func() ([][]byte, error) { return ask.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWNEXTHOP) })
	if err != nil {
		return nil
	}
	for _, message := range all {
		if len(message) < sizeofNhmsg {
			continue
		}
		attrs, err := nl.ParseRouteAttrAsMap(message[sizeofNhmsg:])
		link, byLink := attrs[nhaOIF]
		_, byGateway := attrs[nhaGateway]
		if err == nil && byLink && byGateway && len(link.Value) == 4 {
			links = append(links, int(nl.NativeEndian().Uint32(link.Value)))
		}
	}
	return links
}

// openNexthops opens the socket of gateways in the calling thread's network namespace.
func openNexthops() (*nl.SocketHandle, error) {
	const none = -1 // no other namespace
	s, err := nl.GetNetlinkSocketAt(none, none, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink socket: %w", err)
	}
	return &nl.SocketHandle{Socket: s}, nil
}
