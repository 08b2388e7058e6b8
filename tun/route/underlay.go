package route

import "net/netip"

// Underlay is what the host's own routing looks like, as far as the router has to know it.
// [Configure] reads it, and [Host.Watch] reads it again when rules, routes or links change.
type Underlay struct {
	// Enter is the mark of packets on their way into the TUN. No rule before the router's own
	// selects by its bits.
	Enter uint32
	// Uplinks are the interfaces by which the host reaches the world: those of default routes, in
	// any table, and of routes by a gateway. A packet of another machine that comes in by one came
	// in from outside.
	Uplinks []Uplink
	// Bypass are the marks that a rule of the host lets past a VPN: the VPN's own sockets carry
	// them.
	Bypass []Fwmark
	// Skips are the host's rules that select the router's own sockets by bits of their mark.
	Skips []Skip
	// Tunnels are the far ends of the kernel's tunnels over UDP; without an address any. What they
	// send for a program belongs to its socket.
	Tunnels []netip.AddrPort
	// Detours are the interfaces by which rules before the router's own send traffic past the TUN.
	Detours []string
}

// Uplink is an interface.
type Uplink struct {
	Name  string
	Index int
}

// Fwmark is what a rule compares a mark with: mark & Mask == Value.
type Fwmark struct{ Value, Mask uint32 }

// Skip leads packets of the router's own sockets past the rules of the host from priority From to
// before To.
type Skip struct{ Family, From, To int }

// Notice is something about the host that the operator should know.
type Notice struct {
	Text string
	Hint string // the command or the key that changes it; "" = nothing does
	Info bool   // nothing is wrong as it is
}

// Report are what [Host.Watch] tells. Neither may block.
type Report struct {
	// Repair is called for each command that had to be repeated, with the error if that failed; it
	// will be tried again.
	Repair func(command string, err error)
	// Looked is called after each look at the host, with all that there is to know of it; nil = not
	// called.
	Looked func([]Notice)
	// Past is called with the packets that have gone past the TUN since it was called before; nil =
	// not called.
	Past func([]Past)
}

// flow is a TCP connection: local and remote address.
type flow [2]netip.AddrPort
