package config

import (
	"fmt"
	"net/netip"
	"slices"
)

// AddressSet is a set of addresses, named by words and by prefixes.
type AddressSet struct {
	Words    []string // such as Host; which ones depends on the key
	Prefixes []netip.Prefix
}

// Has tells whether the set contains the addresses that word stands for.
func (s AddressSet) Has(word string) bool { return slices.Contains(s.Words, word) }

// MarshalYAML returns the set as it is written in a config: one list.
func (s AddressSet) MarshalYAML() (any, error) {
	entries := slices.Clone(s.Words)
	for _, prefix := range s.Prefixes {
		entries = append(entries, prefix.String())
	}
	return entries, nil
}

// parsePrefix reads a network such as 192.0.2.0/24; a lone address is a network of one.
func parsePrefix(s string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(s)
	if err != nil {
		addr, err := netip.ParseAddr(s)
		if err != nil || addr.Zone() != "" {
			return netip.Prefix{}, remedy("write it like 192.0.2.0/24 or 2001:db8::/32", "%s is not a prefix", quote(s))
		}
		prefix = netip.PrefixFrom(addr, addr.BitLen())
	}
	if prefix.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("%s is an IPv4 address in the form of IPv6", s)
	}
	if masked := prefix.Masked(); masked != prefix {
		return netip.Prefix{}, remedy("write "+masked.String(), "%s has bits beyond its length", s)
	}
	return prefix, nil
}

// parseInterfaceAddress reads an address of an interface with the length of its subnet, such as
// 192.0.2.1/24.
func parseInterfaceAddress(s string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(s)
	addr := prefix.Addr()
	switch {
	case err != nil:
		return netip.Prefix{}, remedy("write it like 198.18.0.1/30 or fd53:7974::1/126",
			"%s is not an address with a prefix length", quote(s))
	case addr.Is4In6():
		return netip.Prefix{}, fmt.Errorf("%s is an IPv4 address in the form of IPv6", s)
	case addr.IsUnspecified(), addr.IsLoopback(), addr.IsMulticast():
		return netip.Prefix{}, fmt.Errorf("%s is not an address of a host", s)
	}
	// A subnet of two has neither a network nor a broadcast address (RFC 3021, RFC 6164).
	if prefix.Bits() < addr.BitLen()-1 {
		switch {
		case addr == prefix.Masked().Addr():
			return netip.Prefix{}, remedy("write "+netip.PrefixFrom(addr.Next(), prefix.Bits()).String(),
				"%s is the network, not an address in it", s)
		case addr.Is4() && !prefix.Contains(addr.Next()):
			return netip.Prefix{}, remedy("write "+netip.PrefixFrom(addr.Prev(), prefix.Bits()).String(),
				"%s is the broadcast address of its network", s)
		}
	}
	return prefix, nil
}
