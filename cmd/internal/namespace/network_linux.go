package namespace

import (
	"errors"
	"fmt"
	"os"

	"github.com/vishvananda/netlink"
	wgtun "golang.zx2c4.com/wireguard/tun"

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

// permitPing opens unprivileged ping sockets to every group there is (icmp(7)): distributions do so
// on the host, a new network namespace starts without. A read-only /proc/sys keeps it that way.
func permitPing() {
	const path = "/proc/sys/net/ipv4/ping_group_range"
	if os.WriteFile(path, []byte("0 2147483647"), 0) != nil {
		// Both ends of the range must exist in the user namespace.
		_ = os.WriteFile(path, fmt.Appendf(nil, "%d %[1]d", os.Getgid()), 0)
	}
}

// createTUN makes the interface and the routes into it.
func createTUN(s setup) (wgtun.Device, error) {
	dev, err := wgtun.CreateTUN(s.TUN, s.MTU)
	if err != nil {
		return nil, fmt.Errorf("create TUN interface %s: %w", s.TUN, err)
	}
	go drain(dev.Events())
	// The configuration goes with the namespace: there is nothing to undo.
	_, err = route.Configure(route.Config{Name: s.TUN, Addresses: s.Addresses, Include: s.Routes})
	if err != nil {
		return nil, errors.Join(err, dev.Close())
	}
	for _, a := range s.Addresses {
		if s.LocalDNS && a.Addr().Is4() {
			if err := routeLocalDNS(s.TUN, a.Addr().AsSlice()); err != nil {
				return nil, errors.Join(err, dev.Close())
			}
			break
		}
	}
	return dev, nil
}

// drain lets the device's listeners run: they block once five events wait.
func drain(events <-chan wgtun.Event) {
	for range events {
	}
}
