package namespace

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"

	"github.com/vishvananda/netlink"
	wgtun "golang.zx2c4.com/wireguard/tun"

	"syntap/tun"
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

// permitPing opens unprivileged ping sockets to every group there is (icmp(7)): distributions do so on the host, a new
// network namespace starts without. A read-only /proc/sys keeps it that way.
func permitPing() {
	const path = "/proc/sys/net/ipv4/ping_group_range"
	if os.WriteFile(path, []byte("0 2147483647"), 0) != nil {
		// Both ends of the range must exist in the user namespace.
		_ = os.WriteFile(path, fmt.Appendf(nil, "%d %[1]d", os.Getgid()), 0)
	}
}

// createTUN makes the interface and routes everything into it that its addresses can be the source of.
func createTUN(s setup) (wgtun.Device, error) {
	dev, err := wgtun.CreateTUN(s.TUN, s.MTU)
	if err != nil {
		return nil, fmt.Errorf("create TUN interface %s: %w", s.TUN, err)
	}
	go drain(dev.Events())
	var everything []netip.Prefix
	for _, a := range s.Addresses {
		if all := netip.PrefixFrom(a.Addr(), 0).Masked(); !slices.Contains(everything, all) {
			everything = append(everything, all)
		}
	}
	// What is configured goes with the namespace: there is nothing to undo.
	_, err = tun.Configure(tun.HostConfig{Name: s.TUN, Addresses: s.Addresses, Include: everything})
	if err != nil {
		return nil, errors.Join(err, dev.Close())
	}
	return dev, nil
}

// drain lets the device's listeners run: they block once five events wait.
func drain(events <-chan wgtun.Event) {
	for range events {
	}
}
