//go:build linux

package stack

import (
	"net/netip"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// addresses are the IPv4 addresses that netstack has for its own: those of every flow, at both
// ends. It looks them up for each packet, and for one that it does not know goes through all that
// are in use, to see whether it is a broadcast address; then a SYN would cost the more the more
// destinations there are, and so would each packet of a client behind this host. IPv6 addresses are
// found in a map either way.
type addresses struct {
	net *gstack.Stack

	mu    sync.Mutex         // guards flow.addressing, the one below and the order of calls of netstack; may be taken with its locks held
	flows map[netip.Addr]int // how many have the address
}

// addressing says what netstack has of a flow.
type addressing uint8

const (
	notAddressed addressing = iota
	addressed
	addressedNoMore // the flow may end while it is being entered
)

func newAddresses(net *gstack.Stack) *addresses {
	return &addresses{net: net, flows: make(map[netip.Addr]int)}
}

// enter gives netstack the addresses of a flow, until leave.
func (a *addresses) enter(f *flow) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if f.addressing != notAddressed {
		return
	}
	f.addressing = addressed
	a.add(f.key.client.Addr())
	a.add(f.key.server.Addr())
}

func (a *addresses) leave(f *flow) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if f.addressing == addressed {
		a.remove(f.key.client.Addr())
		a.remove(f.key.server.Addr())
	}
	f.addressing = addressedNoMore
}

func (a *addresses) add(addr netip.Addr) {
	if !addr.Is4() {
		return
	}
	if a.flows[addr]++; a.flows[addr] > 1 {
		return
	}
	// It fails only for an address that is there, or an interface that is not.
	_ = a.net.AddProtocolAddress(nicID, tcpip.ProtocolAddress{
		Protocol: ipv4.ProtocolNumber, AddressWithPrefix: tcpip.AddrFrom4(addr.As4()).WithPrefix(),
	}, gstack.AddressProperties{PEB: gstack.NeverPrimaryEndpoint}) // the list of primary ones is searched
}

func (a *addresses) remove(addr netip.Addr) {
	if !addr.Is4() {
		return
	}
	if a.flows[addr]--; a.flows[addr] > 0 {
		return
	}
	delete(a.flows, addr)
	_ = a.net.RemoveAddress(nicID, tcpip.AddrFrom4(addr.As4()))
}
