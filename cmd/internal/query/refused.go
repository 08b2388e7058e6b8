package query

import (
	"net/netip"

	"syntap/cmd/internal/format"
	"syntap/stack/egress"
	"syntap/tun/flow"
)

// Refused returns a test for the connections that rules refuse, for [Query.Only]. A DNS query is
// refused for the names that it asks for: its server is taken for one of the host's nameservers,
// which are within reach whatever the rules say.
func Refused(rules *egress.Rules) func(*format.Connection) bool {
	return func(c *format.Connection) bool {
		r := first(c)
		if queries := queriesOf(c); r.Server.Port() == portDNS && len(queries) > 0 {
			return refusesNames(rules, r, queries)
		}
		q := egress.Request{
			Proto: r.Proto, Server: r.Server, Name: r.Name, Others: r.Names,
			HasUID: r.Owner.Known, UID: r.Owner.UID,
		}
		if u := r.Upstream; u.Known && u.Remote.IsValid() { // Server may be virtual
			q.Server = netip.AddrPortFrom(u.Remote.Addr(), r.Server.Port())
		}
		if r.Proto == flow.ICMP {
			q.Server = netip.AddrPortFrom(q.Server.Addr(), 0)
		}
		return rules.Decide(&q).Deny
	}
}

const portDNS = 53

func refusesNames(rules *egress.Rules, r *format.Record, queries []format.Question) bool {
	for _, asked := range queries {
		q := egress.Question{Name: asked.Name, HasUID: r.Owner.Known, UID: r.Owner.UID}
		if rules.DecideName(q).Deny {
			return true
		}
	}
	return false
}

// queriesOf returns the questions of a connection or flow.
func queriesOf(c *format.Connection) []format.Question {
	if c.Opening != nil && len(c.Opening.Queries) > 0 {
		return c.Opening.Queries
	}
	if c.End != nil {
		return c.End.Queries
	}
	return nil
}
