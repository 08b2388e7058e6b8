package route

import "net/netip"

// Underlay describes the host's own routing, as far as the router depends on it. [Configure] reads
// it, and [Host.Watch] reads it again when rules, routes, links or nameservers change.
type Underlay struct {
	// Priority is that of the router's first rule, where it is not Config.Priority: rules of the
	// host that came without a priority have those from there on.
	Priority int
	// Left is that of the first rule at the last survey, if the rules have returned since: a rule
	// of the host that comes meanwhile gets one before it.
	Left int
	// Enter is the mark of packets on their way into the TUN. No rule before the router's own
	// selects by its bits.
	Enter uint32
	// Uplinks are the interfaces by which the host reaches the world: those of default routes, in
	// any table, and of routes by a gateway, unless it is one of an overlay (VXLAN, Geneve). A
	// packet of another machine that arrives by an uplink comes from outside.
	Uplinks []Uplink
	// Bypass are the marks that a rule of the host lets past a VPN: the VPN's own sockets carry
	// them.
	Bypass []Fwmark
	// Skips are the host's rules that select the router's own sockets by bits of their mark.
	Skips []Skip
	// Tunnels are the far ends of the kernel's tunnels over UDP. An invalid address stands for all.
	// A packet in a tunnel belongs to the socket of the program that sent it.
	Tunnels []netip.AddrPort
	// Ways are the host's rules that do not select the router's own sockets, because of bits of
	// their mark, but would select them without one: the same ways, for the sockets.
	Ways []Way
	// Redirects reports whether the host leads connections of its own sockets to a program of its
	// own.
	Redirects bool
	// Zones are the zones of connection tracking into which the host puts packets.
	Zones []uint16
	// Detours are the interfaces by which rules before the router's own send traffic past the TUN.
	Detours []string
	// Resolvers are the host's nameservers.
	Resolvers []netip.Addr
	// Pings is the range of groups to which the router grants ping sockets, "" if it grants none.
	Pings string
	// Refused reports whether new flows of the router's own sockets are dropped (Host.Refuse).
	Refused bool
}

// Uplink is an interface.
type Uplink struct {
	Name  string
	Index int
}

// Fwmark is the test of a rule for a packet's mark: mark & Mask == Value.
type Fwmark struct{ Value, Mask uint32 }

// Skip leads packets of the router's own sockets past the rules of the host from priority From to
// before priority To.
type Skip struct{ Family, From, To int }

// Way is a lookup for packets of the router's own sockets.
type Way struct{ Family, Priority, Table, SuppressPrefixLength int }

// flow is the local and the remote address of a connection, or of datagrams.
type flow [2]netip.AddrPort

// tracked are the families whose connections have been tracked since they began.
type tracked struct{ ipv4, ipv6 bool }
