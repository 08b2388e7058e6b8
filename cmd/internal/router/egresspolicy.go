//go:build linux

package router

import (
	"errors"
	"net/netip"
	"sync/atomic"
	"time"

	"syntap/cmd/internal/attempt"
	"syntap/cmd/internal/config"
	"syntap/cmd/internal/hint"
	"syntap/cmd/internal/owner"
	"syntap/cmd/internal/record"
	"syntap/stack/dial"
	"syntap/stack/egress"
	"syntap/stack/resolver"
	"syntap/stack/virtual"
	"syntap/tun/flow"
)

// egressPolicy decides on flows by the rules of egress, and by the names and owners of their
// clients.
type egressPolicy struct {
	rules   atomic.Pointer[egress.Rules] // nil = there are none
	strict  atomic.Bool
	names   *namer         // nil = no flow has a name
	owners  *attribution   // nil = no client has a user
	virtual *virtual.Table // the addresses that stand for names; nil = none do
	local   func(netip.Addr) bool

	attempted func(*attempt.Attempt) // nil disables it
}

// check reports why the rules of a config cannot be in force.
func (e *egressPolicy) check(c *config.Config) error {
	const restart = "restart to have these rules in force"
	switch {
	case e.names == nil && c.Egress.NeedsNames():
		return hint.Fail(errors.New("egress has rules with names, which are not looked for yet"), restart)
	case e.owners == nil && c.Egress.HasUIDs():
		return hint.Fail(errors.New("egress has rules with users, which are not looked for"), restart)
	}
	return nil
}

// enforce puts a config in force, for flows to come. Its rules are compiled.
func (e *egressPolicy) enforce(c *config.Config, rules *egress.Rules) {
	e.rules.Store(rules)
	e.strict.Store(c.Egress.Strict)
}

// rule returns the ruling on a flow that is about to begin, for dial.Options.Rules.
func (e *egressPolicy) rule(f dial.Flow) *egress.Ruling {
	rules := e.rules.Load()
	if rules == nil {
		return nil
	}
	q := egress.Request{Proto: f.Proto, Server: f.Server, Name: f.Name}
	if f.Name != "" {
		q.Server = f.Real
	}
	if f.Uninvited {
		return rules.Decide(&q)
	}
	k := flow.Key{Client: f.Client, Server: f.Server, ISN: f.ISN}
	names := e.names != nil && q.Name == "" && rules.HasNames()
	var o *record.Owner
	if names || rules.HasUIDs() {
		o = e.user(f.Proto, k)
	}
	if o != nil {
		q.HasUID, q.UID = true, o.UID
	}
	if names {
		if n := e.names.known(f.Proto, k, o); n != nil {
			q.Name, q.Others = n.Name, n.Others
		}
	}
	return rules.Decide(&q)
}

// user returns the owner of a local client, of which only the user may be known; nil if it is not.
func (e *egressPolicy) user(p flow.Proto, k flow.Key) *record.Owner {
	if e.owners == nil || !e.local(k.Client.Addr()) {
		return nil
	}
	if p == flow.TCP {
		return e.owners.owner(k)
	}
	socket, ok := e.owners.finder.Socket(p, k.Client, k.Server)
	if !ok {
		return nil
	}
	return e.owners.ownerOf(socket, owner.Process{})
}

// question decides on a DNS query by the names that it asks for, for stack.Options.Question.
func (e *egressPolicy) question(
	p flow.Proto, client, server netip.AddrPort, opening flow.Opening, query *flow.DNS,
) *flow.Decision {
	rules := e.rules.Load()
	if rules == nil {
		return &flow.Decision{Rule: "default"} // they have just gone
	}
	q, known := egress.Question{}, record.AsOpening(opening)
	if rules.HasUIDs() {
		var o *record.Owner
		if known != nil {
			o = known.Owner
		} else {
			o = e.user(p, flow.Key{Client: client, Server: server})
		}
		if o != nil {
			q.HasUID, q.UID = true, o.UID
			q.ForAll = e.names != nil && e.names.resolver(o.UID)
		}
	}
	var ruling *egress.Ruling
	for _, asked := range query.Queries {
		q.Name = asked.Name
		if a, ok := resolver.Reverse(q.Name); ok && e.virtual.Contains(a) {
			ruling = &egress.Ruling{Decision: &flow.Decision{Rule: "egress.names"}} // it does not leave
			continue
		}
		if ruling = rules.DecideName(q); ruling.Deny {
			break
		}
	}
	if known != nil && ruling.Deny && p == flow.TCP && e.attempted != nil {
		e.attempted(&attempt.Attempt{
			Time: time.Now(), Proto: p, Name: q.Name, Server: server, Question: true,
			Owner: known.Owner, Decision: ruling.Decision,
		})
	}
	return ruling.Decision
}

// deniedName returns the name in a query for which the query is denied; "" if it is for its server.
func (e *egressPolicy) deniedName(query *flow.DNS, o *record.Owner) string {
	rules := e.rules.Load()
	if rules == nil || query == nil {
		return ""
	}
	q := egress.Question{}
	if o != nil {
		q.HasUID, q.UID = true, o.UID
	}
	for _, asked := range query.Queries {
		q.Name = asked.Name
		if rules.DecideName(q).Deny {
			return q.Name
		}
	}
	return ""
}

// checksName reports whether a client's first bytes may say no other name than that of the
// connection with an opening, for stack.Options.Strict.
func (e *egressPolicy) checksName(opening flow.Opening) bool {
	o := record.AsOpening(opening)
	return o != nil && o.Name != nil && e.strict.Load()
}

// contradicts reports whether a client's first bytes say another name than that of its connection,
// for stack.Options.Contradicts.
//
// Beside ECH the name is that of a provider, unless it is an empty extension, which looks the same
// (GREASE). Of names that are virtual no client has the keys for ECH.
func (e *egressPolicy) contradicts(f *flow.Flow) bool {
	o := record.AsOpening(f.Opening)
	if o != nil && f.Hello != nil && f.Hello.ECH && o.Name != nil && o.Name.Source == "virtual" {
		said := *f.Hello
		said.ECH = false
		plain := *f
		plain.Hello = &said
		f = &plain
	}
	return conflict(o, f)
}

// known returns the name by which a client knows the server of a flow that is about to begin, nil
// if it knows none. Where names are virtual, a client that has another address has it from another
// resolver, whose word does not count.
func (n *namer) known(p flow.Proto, k flow.Key, o *record.Owner) *record.Name {
	if n.virtual != nil {
		name := new(record.Name)
		if n.addHosts(name, k.Client.Addr(), k.Server.Addr()); name.Name == "" {
			return nil
		}
		return name
	}
	if p != flow.TCP {
		name, use := n.begin(k.Client.Addr(), k.Server.Addr(), o)
		n.table.End(use, time.Now())
		return name
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if h := n.find(k); h != nil {
		return h.name
	}
	return nil
}
