package mappings

import "net/netip"

// Endpoint is an address and port or, for echoes, an address and identifier.
type Endpoint struct {
	netip.AddrPort
	Echo bool
}

// UDP returns the endpoint of datagrams with an address and port.
func UDP(a netip.AddrPort) Endpoint { return Endpoint{AddrPort: a} }

// Echo returns the endpoint of echoes with an address, and an identifier for the port.
func Echo(a netip.AddrPort) Endpoint { return Endpoint{AddrPort: a, Echo: true} }

// Key identifies a mapping.
type Key struct {
	Client Endpoint
	Local  netip.Addr // of this host; of the other family where the dialer redirects to it
}
