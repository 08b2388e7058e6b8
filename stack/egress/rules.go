package egress

import (
	"net/netip"
	"slices"

	"syntap/tun/flow"
	"syntap/tun/packet"
)

// Rules are compiled. They do not change, and are safe for concurrent use.
type Rules struct {
	rules    []Rule
	rulings  []Ruling
	literals []Ruling // the same, with Literal; none if no rule has an exception
	rest     Ruling   // where no rule matches

	// Rules with names, by name and by the domain above; those with prefixes only, by address; all
	// others.
	exact, below map[string]*bucket
	addresses    [2]ranges // of IPv4 and IPv6
	others       bucket

	// Rules that say something about every name: those for all addresses of a family and others.
	everyName []int
	uids      bool // a rule asks for users
}

// Ruling is the decision of the rules on a flow.
type Ruling struct {
	*flow.Decision
	Literal bool // a rule without names that allows has the server's address, and none denies before it
	Default bool // no rule matches
	Names   bool // DNS queries of the flow are decided on by DecideName
}

// Request asks for a decision on a flow.
type Request struct {
	Proto  flow.Proto
	Server netip.AddrPort
	Name   string   // lower case, without final dot; "" where the client has a literal address
	Others []string // names that it may mean as well

	HasUID bool   // the client is a program of this host, and its user known
	UID    uint32 // of that user
}

// Compile compiles rules, of which the first that matches decides. If none matches, flows are
// denied if deny is set.
func Compile(rules []Rule, deny bool) *Rules {
	r := &Rules{rules: slices.Clone(rules)}
	r.rest = Ruling{Decision: &flow.Decision{Rule: "default"}, Default: true}
	if deny {
		r.rest.Decision = &flow.Decision{Deny: true, Rule: "default", Reason: "no rule allows it"}
	}
	exact, below := make(map[string][]int), make(map[string][]int)
	prefixes, others := make(map[netip.Prefix][]int), []int(nil)
	for i := range r.rules {
		rule := &r.rules[i]
		r.rulings = append(r.rulings, rule.ruling())
		switch {
		case len(rule.Names) > 0:
			for _, p := range rule.Names {
				names := exact
				if p.below {
					names = below
				}
				names[p.name] = appendOnce(names[p.name], i)
			}
		case len(rule.Dst) > 0:
			for _, p := range rule.Dst {
				prefixes[p] = appendOnce(prefixes[p], i)
			}
		default:
			others = append(others, i)
		}
		r.uids = r.uids || len(rule.UIDs) > 0
		if len(rule.Names) == 0 && rule.allAddresses() {
			r.everyName = append(r.everyName, i)
		}
	}
	r.exact, r.below = bucketsOf(r.rules, exact), bucketsOf(r.rules, below)
	r.addresses[0] = newRanges(r.rules, prefixes, netip.Addr.Is4)
	r.addresses[1] = newRanges(r.rules, prefixes, netip.Addr.Is6)
	r.others = newBucket(r.rules, others)
	r.rest.Names = r.HasNames() || r.rest.Deny // queries are decided by the names they ask for
	for i := range r.rulings {
		r.rulings[i].Names = r.rest.Names
	}
	if slices.ContainsFunc(r.rules, func(rule Rule) bool { return rule.isException() }) {
		r.literals = slices.Clone(r.rulings)
		for i := range r.literals {
			r.literals[i].Literal = true
		}
	}
	return r
}

func (r *Rule) ruling() Ruling {
	d := &flow.Decision{Deny: r.Deny, Rule: r.Place, ByName: !r.Deny && len(r.Names) > 0}
	if r.Deny {
		if d.Reason = r.Reason; d.Reason == "" {
			d.Reason = r.Place + " forbids it"
		}
	}
	return Ruling{Decision: d, Literal: r.isException()}
}

// isException reports whether a rule allows addresses, also such as are never dialled.
func (r *Rule) isException() bool { return !r.Deny && len(r.Names) == 0 && len(r.Dst) > 0 }

// HasNames reports whether a rule has names.
func (r *Rules) HasNames() bool { return len(r.exact)+len(r.below) > 0 }

// HasUIDs reports whether a rule has users.
func (r *Rules) HasUIDs() bool { return r.uids }

// Decide returns the ruling on a flow.
func (r *Rules) Decide(q *Request) *Ruling {
	first := r.first(q, func(*Rule) bool { return true })
	if first == len(r.rules) {
		return &r.rest
	}
	ruling := &r.rulings[first]
	if ruling.Deny || ruling.Literal || r.literals == nil {
		return ruling
	}
	other := r.first(q, func(rule *Rule) bool { return rule.Deny || rule.isException() })
	if other < len(r.rules) && !r.rules[other].Deny {
		return &r.literals[first]
	}
	return ruling
}

// first returns the number of the first rule of a kind that matches, or that of all rules.
func (r *Rules) first(q *Request, isOfKind func(*Rule) bool) int {
	s := search{rules: r, first: len(r.rules)}
	server := q.Server.Addr().Unmap().WithZone("")
	real := Embedded(server)
	matches := func(rule *Rule) bool { return isOfKind(rule) && rule.matches(q, server, real) }
	port := q.Server.Port()
	s.in(&r.others, port, matches)
	s.in(r.at(server), port, matches)
	if real != server {
		s.in(r.at(real), port, matches)
	}
	if r.HasNames() && q.Name != "" {
		look := func(b *bucket) { s.in(b, port, matches) }
		r.named(q.Name, look)
		for _, name := range q.Others {
			r.named(name, look)
		}
	}
	return s.first
}

// at returns the rules with prefixes that have an address.
func (r *Rules) at(a netip.Addr) *bucket {
	if a.Is4() {
		return r.addresses[0].at(a)
	}
	return r.addresses[1].at(a)
}

// matches reports whether the conditions of a rule hold that its bucket does not cover.
func (r *Rule) matches(q *Request, server, real netip.Addr) bool {
	if len(r.Protos) > 0 && !slices.Contains(r.Protos, q.Proto) {
		return false
	}
	port := packet.PortRange{First: q.Server.Port(), Last: q.Server.Port()}
	if len(r.Ports) > 0 && (q.Proto == flow.ICMP || !anyContains(r.Ports, port, packet.PortRange.Contains)) {
		return false
	}
	if len(r.UIDs) > 0 && !r.matchesUser(q.UID, q.HasUID) {
		return false
	}
	if len(r.Names) == 0 || len(r.Dst) == 0 {
		return true
	}
	return slices.ContainsFunc(r.Dst, func(p netip.Prefix) bool { return p.Contains(server) || p.Contains(real) })
}

func (r *Rule) matchesUser(uid uint32, known bool) bool {
	return known && anyContains(r.UIDs, UIDRange{uid, uid}, UIDRange.contains)
}

func anyContains[T any](list []T, v T, contains func(T, T) bool) bool {
	for _, l := range list {
		if contains(l, v) {
			return true
		}
	}
	return false
}

// search looks for the first rule that matches.
type search struct {
	rules *Rules
	first int
}

// in looks among the rules of a bucket, for a server's port.
func (s *search) in(b *bucket, port uint16, matches func(*Rule) bool) {
	if b.byPort == nil {
		s.among(b.all, matches)
		return
	}
	s.among(b.byPort[port], matches)
	s.among(b.rest, matches)
}

// among looks among rules in ascending order.
func (s *search) among(numbers []int, matches func(*Rule) bool) {
	for _, i := range numbers {
		if i >= s.first {
			return
		}
		if matches(&s.rules.rules[i]) {
			s.first = i
			return
		}
	}
}

// named calls look with the rules with patterns that have a name.
func (r *Rules) named(name string, look func(*bucket)) {
	if b := r.exact[name]; b != nil {
		look(b)
	}
	if len(r.below) == 0 {
		return
	}
	domains(name, func(domain string) bool {
		if b := r.below[domain]; b != nil {
			look(b)
		}
		return true
	})
}

func (s *search) ruling() *Ruling {
	if s.first == len(s.rules.rules) {
		return &s.rules.rest
	}
	return &s.rules.rulings[s.first]
}

// Question asks for a decision on a name.
type Question struct {
	Name string // lower case, without final dot

	HasUID bool   // the client is a program of this host, and its user known
	UID    uint32 // of that user
	ForAll bool   // the client asks for others, of whom nothing is known
}

// DecideName returns the ruling on the question of a DNS query: a denial if no flow to the name
// could be allowed.
func (r *Rules) DecideName(q Question) *Ruling {
	s := search{rules: r, first: len(r.rules)}
	matches := func(rule *Rule) bool {
		if len(rule.UIDs) > 0 && !(q.ForAll && !rule.Deny) && !rule.matchesUser(q.UID, q.HasUID) {
			return false
		}
		limited := len(rule.Ports) > 0 || len(rule.Protos) > 0 || len(rule.Dst) > 0
		return !rule.Deny || !limited
	}
	s.among(r.everyName, matches)
	r.named(q.Name, func(b *bucket) { s.among(b.all, matches) })
	return s.ruling()
}
