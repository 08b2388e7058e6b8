//go:build linux

package netstack

import (
	"net/netip"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// Addresses registers the IPv4 addresses of connections with netstack, both ends of each.
//
// For an unknown IPv4 address netstack scans all its addresses for a subnet's broadcast address,
// with each packet. That makes a SYN, and each packet of a client behind this host, cost the more
// the more connections there are. A registered address is found in a map, as IPv6 addresses always
// are.
type Addresses struct {
	net *gstack.Stack

	mu    sync.Mutex         // guards the state of each Lease, users and the order of calls of netstack
	users map[netip.Addr]int // leases of each address
}

// Lease is one connection's registration of its addresses. The zero value registers nothing.
type Lease uint8

const (
	unused Lease = iota
	inUse
	over // a connection may end while it is being registered
)

// Register gives netstack the addresses, until Release of l. It does so once.
func (a *Addresses) Register(l *Lease, client, server netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if *l != unused {
		return
	}
	*l = inUse
	a.add(client)
	a.add(server)
}

// Release ends the registration of the same addresses, and prevents a later one.
func (a *Addresses) Release(l *Lease, client, server netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if *l == inUse {
		a.remove(client)
		a.remove(server)
	}
	*l = over
}

func (a *Addresses) add(addr netip.Addr) {
	if !addr.Is4() {
		return
	}
	if a.users[addr]++; a.users[addr] > 1 {
		return
	}
	// It fails only for an address that is there, or an interface that is not.
	_ = a.net.AddProtocolAddress(NIC, tcpip.ProtocolAddress{
		Protocol: ipv4.ProtocolNumber, AddressWithPrefix: tcpip.AddrFrom4(addr.As4()).WithPrefix(),
	}, gstack.AddressProperties{PEB: gstack.NeverPrimaryEndpoint}) // the list of primary ones is searched
}

func (a *Addresses) remove(addr netip.Addr) {
	if !addr.Is4() {
		return
	}
	if a.users[addr]--; a.users[addr] > 0 {
		return
	}
	delete(a.users, addr)
	_ = a.net.RemoveAddress(NIC, tcpip.AddrFrom4(addr.As4()))
}
