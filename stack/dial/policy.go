//go:build linux

package dial

import (
	"cmp"
	"net/netip"
	"slices"

	"syntap/stack/egress"
	"syntap/tun/flow"
)

// Policy says which destinations are never dialled. It is checked on the address really dialled,
// after unwrapping the IPv6 forms that carry an IPv4 address. The zero value allows everything.
type Policy struct {
	Deny      []netip.Prefix
	Forwarded []netip.Prefix // denied to other machines, but not to programs of this host
	Allow     []netip.Prefix // exceptions to Deny, Forwarded and Host
	Host      *HostAddrs     // deny the host's own addresses; nil = do not

	// Local reports whether a client is a program of this host; nil = none is.
	Local func(client netip.Addr) bool
	// Resolvers are the host's nameservers, which are never denied for DNS to programs of this
	// host; nil = there are none.
	Resolvers func() []netip.Addr

	Decisions Decisions
}

// Decisions are the words of a policy. One that is missing is made up, without a place in a config.
type Decisions struct {
	Denied  map[netip.Prefix]*flow.Decision // for the prefixes of Deny and Forwarded
	Host    *flow.Decision                  // denies an address of Host
	Allowed *flow.Decision                  // allows an exception
}

// Decisions without a place in a config.
var (
	byDefault = &flow.Decision{Rule: "default"}
	exception = &flow.Decision{Rule: "exception"}
	denial    = &flow.Decision{Deny: true, Rule: "policy", Reason: "policy forbids it"}
)

// Named sets of destinations.
var (
	Loopback  = prefixes("127.0.0.0/8", "::1/128", "0.0.0.0/8", "::/128") // 0.0.0.0 and :: reach the host itself
	LinkLocal = prefixes("169.254.0.0/16", "fe80::/10")
	Multicast = prefixes("224.0.0.0/4", "255.255.255.255/32", "ff00::/8")
)

func prefixes(ss ...string) []netip.Prefix {
	var ps []netip.Prefix
	for _, s := range ss {
		ps = append(ps, netip.MustParsePrefix(s))
	}
	return ps
}

const dnsPort = 53

// decide returns the decision on packets of a client to dst.
func (p *Policy) decide(client netip.Addr, dst netip.AddrPort) *flow.Decision {
	a := dst.Addr()
	real := egress.Embedded(a)
	local := func() bool { return p.Local != nil && p.Local(client) }
	if _, ok := find(p.Allow, real, a); ok {
		return cmp.Or(p.Decisions.Allowed, exception)
	}
	if dst.Port() == dnsPort && p.Resolvers != nil && slices.Contains(p.Resolvers(), a.WithZone("")) && local() {
		return byDefault
	}
	if prefix, ok := find(p.Deny, real, a); ok {
		return cmp.Or(p.Decisions.Denied[prefix], denial)
	}
	if prefix, ok := find(p.Forwarded, real, a); ok && !local() {
		return cmp.Or(p.Decisions.Denied[prefix], denial)
	}
	if p.Host != nil && (p.Host.Contains(real) || real != a && p.Host.Contains(a)) {
		return cmp.Or(p.Decisions.Host, denial)
	}
	return byDefault
}

// find returns the first prefix that contains one of two forms of an address.
func find(ps []netip.Prefix, real, a netip.Addr) (netip.Prefix, bool) {
	i := slices.IndexFunc(ps, func(p netip.Prefix) bool { return p.Contains(real) || p.Contains(a) })
	if i < 0 {
		return netip.Prefix{}, false
	}
	return ps[i], true
}
