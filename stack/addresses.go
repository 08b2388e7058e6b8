//go:build linux

package stack

import (
	"net/netip"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// addresses are the IPv4 addresses that netstack has for its own: those of every flow, at both ends. It looks them up for each
// packet, and for one that it does not know goes through all that are in use, to see whether it is a broadcast address; then a
// SYN would cost the more the more destinations there are, and so would each packet of a client behind this host. IPv6
// addresses are found in a map either way.
type addresses struct {
	net *gstack.Stack

	mu    sync.Mutex         // guards the one below, and the order of calls of netstack; may be taken with netstack's locks held
	flows map[netip.Addr]int // how many have the address
}

func newAddresses(net *gstack.Stack) *addresses {
	return &addresses{net: net, flows: make(map[netip.Addr]int)}
}

func (a *addresses) add(addrs ...netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, addr := range addrs {
		if !addr.Is4() {
			continue
		}
		if a.flows[addr]++; a.flows[addr] > 1 {
			continue
		}
		// It fails only for an address that is there, or an interface that is not.
		_ = a.net.AddProtocolAddress(nicID, tcpip.ProtocolAddress{
			Protocol: ipv4.ProtocolNumber, AddressWithPrefix: tcpip.AddrFrom4(addr.As4()).WithPrefix(),
		}, gstack.AddressProperties{PEB: gstack.NeverPrimaryEndpoint}) // the list of primary ones is searched
	}
}

func (a *addresses) remove(addrs ...netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, addr := range addrs {
		if !addr.Is4() {
			continue
		}
		if a.flows[addr]--; a.flows[addr] > 0 {
			continue
		}
		delete(a.flows, addr)
		_ = a.net.RemoveAddress(nicID, tcpip.AddrFrom4(addr.As4()))
	}
}
