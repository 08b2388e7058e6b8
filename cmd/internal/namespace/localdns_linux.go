package namespace

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The table and the priorities by which DNS of 127.0.0.1 goes into the TUN. They are in the
// command's network namespace, not in the host's.
const (
	localDNSTable    = 53
	localDNSPriority = 0
	localPriority    = 1 // of the kernel's table local, which comes first otherwise
)

// routeLocalDNS sends the command's packets to port 53 of 127.0.0.1 into the TUN: a libc
// without a resolv.conf asks there, and the command is to reach the host's server.
func routeLocalDNS(device string, source net.IP) error {
	link, err := netlink.LinkByName(device)
	if err != nil {
		return err
	}
	// The kernel drops packets of loopback addresses on other links.
	if err := os.WriteFile("/proc/sys/net/ipv4/conf/"+device+"/route_localnet", []byte("1"), 0); err != nil {
		return err
	}
	loopback := &net.IPNet{IP: net.IPv4(127, 0, 0, 1), Mask: net.CIDRMask(32, 32)}
	route := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: loopback, Table: localDNSTable, Scope: netlink.SCOPE_LINK, Src: source}
	if err := netlink.RouteAdd(route); err != nil {
		return fmt.Errorf("route DNS of 127.0.0.1: %w", err)
	}
	local := netlink.NewRule()
	local.Family, local.Table, local.Priority = unix.AF_INET, unix.RT_TABLE_LOCAL, localPriority
	first := netlink.NewRule()
	first.Family, first.Table, first.Priority = unix.AF_INET, localDNSTable, localDNSPriority
	first.Dst, first.Dport = loopback, netlink.NewRulePortRange(portDNS, portDNS)
	old := netlink.NewRule()
	old.Family, old.Table, old.Priority = unix.AF_INET, unix.RT_TABLE_LOCAL, 0
	if err := errors.Join(netlink.RuleAdd(local), netlink.RuleDel(old), netlink.RuleAdd(first)); err != nil {
		return fmt.Errorf("route DNS of 127.0.0.1: %w", err)
	}
	return nil
}
