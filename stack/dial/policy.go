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
//
// Rules come before it: a destination that they deny is denied, and one that a rule allows by its
// address is an exception to Deny, Forwarded and Host. One that they allow by name is not.
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

// Decisions are the decisions that a policy returns. For a missing one there is a default without a
// place in a config.
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
	onlyDNS   = &flow.Decision{Rule: "default", OnlyDNS: true}
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

// decide returns the decision on packets of a client to dst, on which the rules have a ruling; nil
// = there are no rules.
func (p *Policy) decide(client netip.Addr, dst netip.AddrPort, r *egress.Ruling) *flow.Decision {
	d := p.decideAddress(client, dst.Addr(), r)
	switch {
	case !d.Deny || !p.isResolver(client, dst):
		return d
	case r == nil:
		return byDefault
	}
	return onlyDNS
}

// isResolver reports whether a program of this host sends to one of its nameservers.
func (p *Policy) isResolver(client netip.Addr, dst netip.AddrPort) bool {
	return dst.Port() == dnsPort && p.Resolvers != nil &&
		slices.Contains(p.Resolvers(), dst.Addr().WithZone("")) && p.isLocal(client)
}

func (p *Policy) isLocal(client netip.Addr) bool { return p.Local != nil && p.Local(client) }

func (p *Policy) decideAddress(client, a netip.Addr, r *egress.Ruling) *flow.Decision {
	byRule := r != nil && !r.Default
	if byRule && (r.Deny || r.Literal) {
		return r.Decision
	}
	real := egress.Embedded(a)
	_, excepted := find(p.Allow, real, a)
	if !excepted {
		if d := p.forbids(client, a, real); d != nil {
			return d
		}
	}
	switch {
	case byRule, r != nil && r.Deny:
		return r.Decision
	case excepted:
		return cmp.Or(p.Decisions.Allowed, exception)
	}
	return byDefault
}

// forbids returns the decision that denies an address, nil if there is none.
func (p *Policy) forbids(client, a, real netip.Addr) *flow.Decision {
	if prefix, ok := find(p.Deny, real, a); ok {
		return cmp.Or(p.Decisions.Denied[prefix], denial)
	}
	if prefix, ok := find(p.Forwarded, real, a); ok && !p.isLocal(client) {
		return cmp.Or(p.Decisions.Denied[prefix], denial)
	}
	if p.Host != nil && (p.Host.Contains(real) || real != a && p.Host.Contains(a)) {
		return cmp.Or(p.Decisions.Host, denial)
	}
	return nil
}

// find returns the first prefix that contains one of two forms of an address.
func find(ps []netip.Prefix, real, a netip.Addr) (netip.Prefix, bool) {
	i := slices.IndexFunc(ps, func(p netip.Prefix) bool { return p.Contains(real) || p.Contains(a) })
	if i < 0 {
		return netip.Prefix{}, false
	}
	return ps[i], true
}
