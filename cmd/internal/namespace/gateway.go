package namespace

import (
	"net/netip"
	"slices"
)

// gateway returns the address beside own in its subnet: the one the command sees at the far end of
// the TUN. A subnet of one address has none.
func gateway(own netip.Prefix) (netip.Addr, bool) {
	for _, a := range []netip.Addr{own.Addr().Next(), own.Addr().Prev()} {
		if own.Contains(a) && !reserved(a, own) {
			return a, true
		}
	}
	return netip.Addr{}, false
}

// reserved reports whether a names the subnet itself or all of its hosts (RFC 919 §7, RFC 4291
// §2.6.1). A subnet of two addresses reserves none (RFC 3021 §2.1, RFC 6164 §6).
func reserved(a netip.Addr, subnet netip.Prefix) bool {
	if subnet.Bits() >= a.BitLen()-1 {
		return false
	}
	return a == subnet.Masked().Addr() || a.Is4() && !subnet.Contains(a.Next())
}

// gateways returns the gateway of each subnet that has one.
func gateways(addresses []netip.Prefix) []netip.Addr {
	var found []netip.Addr
	for _, own := range addresses {
		if a, ok := gateway(own); ok {
			found = append(found, a)
		}
	}
	return found
}

// maxNameservers is how many nameservers a libc asks (MAXNS in resolv.h).
const maxNameservers = 3

// spare4 are further addresses of the benchmarking network (RFC 2544), which have no hosts. A
// subnet of four addresses has one gateway only.
var spare4 = []netip.Addr{netip.MustParseAddr("198.19.255.253"), netip.MustParseAddr("198.19.255.254")}

// MayStandForNameserver reports whether an address that is no gateway may stand for a nameserver of
// the host.
func MayStandForNameserver(a netip.Addr) bool { return slices.Contains(spare4, a) }

// relayAddresses returns the addresses that can stand for nameservers of the host: the gateways,
// then others that lead into the TUN too.
func relayAddresses(addresses []netip.Prefix) []netip.Addr {
	found := gateways(addresses)
	for _, own := range addresses {
		if own.Addr().Is4() {
			found = append(found, spare4...)
			break
		}
	}
	for _, own := range addresses {
		for a := own.Masked().Addr(); own.Contains(a) && len(found) < maxNameservers; a = a.Next() {
			if a != own.Addr() && !reserved(a, own) && !slices.Contains(found, a) {
				found = append(found, a)
			}
		}
	}
	return found[:min(len(found), maxNameservers)]
}
