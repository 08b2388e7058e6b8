package namespace

import (
	"maps"
	"net/netip"
)

// Redirects say which addresses of a session stand for addresses of the caller's network namespace.
// They do not change; where the host's nameservers do, there are others.
type Redirects struct {
	Order       []netip.AddrPort          // the nameservers of the host, as in its resolv.conf
	Nameservers map[netip.Addr]netip.Addr // for the DNS port alone; also the nameservers' own addresses
	Loopback    map[netip.Addr]netip.Addr // for every other port
}

const portDNS = 53 // RFC 1035 §4.2

func newRedirects(o Options, names resolver) *Redirects {
	r := &Redirects{Nameservers: maps.Clone(names.servers), Loopback: map[netip.Addr]netip.Addr{}}
	for _, a := range names.order {
		r.Order = append(r.Order, netip.AddrPortFrom(a, portDNS))
	}
	for _, a := range gateways(o.Addresses) {
		_, known := r.Nameservers[a]
		switch {
		case o.HostLoopback && a.Is4():
			r.Loopback[a] = loopback4
		case o.HostLoopback:
			r.Loopback[a] = netip.IPv6Loopback()
		case o.NetNS != "" && !known && len(names.order) > 0: // its resolv.conf is its own
			r.Nameservers[a] = names.order[0]
		}
	}
	return r
}

// Lookup tells where a connection from the command to dst really leads: a gateway address to a
// nameserver of the host or to its loopback, the address of a nameserver to itself, whatever the
// command is denied. Everywhere else ok is false.
func (r *Redirects) Lookup(dst netip.AddrPort) (real netip.AddrPort, ok bool) {
	if dst.Port() == portDNS {
		if a, ok := r.Nameservers[dst.Addr()]; ok {
			return netip.AddrPortFrom(a, portDNS), true
		}
	}
	a, ok := r.Loopback[dst.Addr()]
	return netip.AddrPortFrom(a, dst.Port()), ok
}

// IsNameserver reports whether the command knows a nameserver by an address.
func (r *Redirects) IsNameserver(a netip.Addr) bool {
	_, ok := r.Nameservers[a]
	return ok
}
