package namespace

import (
	"fmt"
	"net"
	"os"

	"github.com/vishvananda/netlink"

	"syntap/tun"
	"syntap/tun/route"
)

func raiseLoopback() error {
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		return fmt.Errorf("set lo up: %w", err)
	}
	return nil
}

// otherLinks returns the interfaces that are up, but for lo.
func otherLinks() (names []string, err error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	for _, l := range links {
		if flags := l.Attrs().Flags; flags&net.FlagUp != 0 && flags&net.FlagLoopback == 0 {
			names = append(names, l.Attrs().Name)
		}
	}
	return names, nil
}

// permitPing opens unprivileged ping sockets to every group there is (icmp(7)): distributions do so
// on the host, a new network namespace starts without. A read-only /proc/sys keeps it that way.
func permitPing() {
	const path = "/proc/sys/net/ipv4/ping_group_range"
	if os.WriteFile(path, []byte("0 2147483647"), 0) != nil {
		// Both ends of the range must exist in the user namespace.
		_ = os.WriteFile(path, fmt.Appendf(nil, "%d %[1]d", os.Getgid()), 0)
	}
}

// createTUN makes the interface and the routes into it, and returns the descriptors of its queues.
func createTUN(s setup) (queues []*os.File, err error) {
	if queues, err = tun.Create(s.TUN, s.MTU, s.Queues); err != nil {
		return nil, err
	}
	if err := routeIntoTUN(s); err != nil {
		closeAll(queues)
		return nil, err
	}
	return queues, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

// routeIntoTUN makes the routes. They go with the namespace: there is nothing to undo.
func routeIntoTUN(s setup) error {
	_, err := route.Configure(route.Config{Name: s.TUN, Addresses: s.Addresses, Include: s.Routes})
	if err != nil {
		return err
	}
	for _, a := range s.Addresses {
		if s.LocalDNS && a.Addr().Is4() {
			return routeLocalDNS(s.TUN, a.Addr().AsSlice())
		}
	}
	return nil
}
