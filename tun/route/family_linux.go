package route

import (
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// hasIPv6 reports whether the kernel has IPv6. Where there is no /proc, sockets tell: taken for
// off, IPv6 would pass unrecorded.
func hasIPv6() bool {
	if _, err := os.Stat("/proc/sys/net/ipv6"); !errors.Is(err, fs.ErrNotExist) {
		return true
	}
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		_ = unix.Close(fd) // nothing was written
	}
	return !errors.Is(err, unix.EAFNOSUPPORT)
}

// allFamilies returns the address families of the kernel.
func allFamilies() []int {
	if hasIPv6() {
		return []int{netlink.FAMILY_V4, netlink.FAMILY_V6}
	}
	return []int{netlink.FAMILY_V4}
}

// families returns the address families of prefixes.
func families(prefixes []netip.Prefix) (all []int) {
	if len(only4(prefixes)) > 0 {
		all = append(all, netlink.FAMILY_V4)
	}
	if len(only6(prefixes)) > 0 {
		all = append(all, netlink.FAMILY_V6)
	}
	return all
}

func familyName(family int) string {
	if family == netlink.FAMILY_V6 {
		return "IPv6"
	}
	return "IPv4"
}

// ipCommand returns the ip command for an address family.
func ipCommand(family int) string {
	if family == netlink.FAMILY_V6 {
		return "ip -6"
	}
	return "ip"
}

func familyOf(n *net.IPNet) int {
	if len(n.IP) == net.IPv6len {
		return netlink.FAMILY_V6
	}
	return netlink.FAMILY_V4
}

// everyDestination returns the prefix of all addresses of a family.
func everyDestination(family int) netip.Prefix {
	if family == netlink.FAMILY_V6 {
		return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
}

// ipNet returns a prefix in the form of the netlink package, host bits included.
func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// prefix returns the prefix of n, and of all destinations of the family if n is nil.
func prefix(n *net.IPNet, family int) netip.Prefix {
	if n == nil {
		return everyDestination(family)
	}
	a, _ := netip.AddrFromSlice(n.IP)
	if family == netlink.FAMILY_V4 {
		a = a.Unmap()
	}
	return netip.PrefixFrom(a, prefixBits(n))
}

// prefixBits returns the length of n in bits, 0 if n is nil.
func prefixBits(n *net.IPNet) int {
	if n == nil {
		return 0
	}
	bits, _ := n.Mask.Size()
	return bits
}

func only4(prefixes []netip.Prefix) []netip.Prefix {
	is6 := func(p netip.Prefix) bool { return p.Addr().Is6() }
	return slices.DeleteFunc(slices.Clone(prefixes), is6)
}

func only6(prefixes []netip.Prefix) []netip.Prefix {
	is4 := func(p netip.Prefix) bool { return p.Addr().Is4() }
	return slices.DeleteFunc(slices.Clone(prefixes), is4)
}

// covered reports whether one of prefixes covers p.
func covered(p netip.Prefix, prefixes []netip.Prefix) bool {
	return slices.ContainsFunc(prefixes, func(x netip.Prefix) bool {
		return x.Overlaps(p) && x.Bits() <= p.Bits()
	})
}
