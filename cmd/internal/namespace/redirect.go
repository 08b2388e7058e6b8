package namespace

import (
	"maps"
	"net/netip"
)

// redirects says which gateway addresses stand for addresses of the caller's network namespace.
type redirects struct {
	order       []netip.AddrPort          // of the nameservers
	nameservers map[netip.Addr]netip.Addr // for the DNS port alone; also the nameservers' own addresses
	loopback    map[netip.Addr]netip.Addr // for every other port
}

const portDNS = 53 // RFC 1035 §4.2

func newRedirects(o Options, names resolver) *redirects {
	r := &redirects{nameservers: maps.Clone(names.servers), loopback: map[netip.Addr]netip.Addr{}}
	for _, a := range names.order {
		r.order = append(r.order, netip.AddrPortFrom(a, portDNS))
	}
	for _, a := range gateways(o.Addresses) {
		_, known := r.nameservers[a]
		switch {
		case o.HostLoopback && a.Is4():
			r.loopback[a] = loopback4
		case o.HostLoopback:
			r.loopback[a] = netip.IPv6Loopback()
		case o.NetNS != "" && !known && len(names.order) > 0: // its resolv.conf is its own
			r.nameservers[a] = names.order[0]
		}
	}
	return r
}

func (r *redirects) lookup(dst netip.AddrPort) (netip.AddrPort, bool) {
	if dst.Port() == portDNS {
		if a, ok := r.nameservers[dst.Addr()]; ok {
			return netip.AddrPortFrom(a, portDNS), true
		}
	}
	a, ok := r.loopback[dst.Addr()]
	return netip.AddrPortFrom(a, dst.Port()), ok
}
