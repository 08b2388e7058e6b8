package policy

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"

	"syntap/tun/packet"
)

// Options are the inputs that rules share.
type Options struct {
	// MTU of the TUN, an upper bound of every path MTU; 0 sets no bound.
	MTU packet.MTU
	// Learned returns the MSS that has been found to pass between a client and a server, for
	// ClampAuto; 0 means no bound. If nil, there is none.
	Learned func(client, server netip.Addr) packet.MSS
	// RandomID draws the identification of an IPv4 packet that had none; nil means math/rand/v2.
	RandomID func() uint16
}

// Rules are compiled rules. They do not change, apart from their counters, and serve any number of
// goroutines: to change rules, compile new ones and swap the pointer. The zero value is a set
// without rules.
type Rules struct {
	mss list[MSSRule]
	df  list[DFRule]
	o   Options
}

// Compile compiles the rules of a config. The number of a rule is its place in mss or df, from 1.
func Compile(mss []MSSRule, df []DFRule, o Options) (*Rules, error) {
	r := &Rules{o: o}
	if r.o.RandomID == nil {
		r.o.RandomID = func() uint16 { return uint16(rand.Uint32()) }
	}
	for _, rule := range mss {
		m, err := compileMatch(rule.Match)
		switch {
		case err != nil:
		case rule.Clamp < ClampAuto || rule.Clamp > 0xffff:
			err = fmt.Errorf("clamp %d is no MSS", rule.Clamp)
		case rule.Malformed > Drop:
			err = fmt.Errorf("verdict %v on malformed options is unknown", rule.Malformed)
		}
		if err != nil {
			return nil, fmt.Errorf("compile mss rule %d: %w", len(r.mss)+1, err)
		}
		r.mss.add(rule, m)
	}
	for _, rule := range df {
		m, err := compileMatch(rule.Match)
		m.exclude(ipv6)
		switch {
		case err != nil:
		case !m.has(ipv4):
			err = errors.New("only IPv4 has the DF bit")
		case rule.Policy > packet.EnforceDF:
			err = fmt.Errorf("policy %d is unknown", rule.Policy)
		}
		if err != nil {
			return nil, fmt.Errorf("compile df rule %d: %w", len(r.df)+1, err)
		}
		r.df.add(rule, m)
	}
	return r, nil
}

// HasMSS reports whether there is any mss rule.
func (r *Rules) HasMSS() bool { return len(r.mss) > 0 }

// Learns reports whether a rule bounds the MSS between a client and a server by findings.
func (r *Rules) Learns(client, server netip.AddrPort) bool {
	for _, d := range []packet.Direction{packet.Outbound, packet.Inbound} {
		if c := r.mss.find(client, server, d); c != nil && c.rule.Clamp == ClampAuto {
			return true
		}
	}
	return false
}

// HasDF reports whether there is any df rule. Without one this test is the only cost of a packet.
func (r *Rules) HasDF() bool { return len(r.df) > 0 }

// MSSUse returns each mss rule with the number of segments that it has changed or dropped.
func (r *Rules) MSSUse() []Use { return r.mss.use() }

// DFUse returns each df rule with the number of packets that it has changed or refused.
func (r *Rules) DFUse() []Use { return r.df.use() }

// Use is a rule in words, and the number of packets that it has changed or dropped.
type Use struct {
	Rule string
	Hits uint64
}

// ShadowedMSS returns the mss rules that can never apply.
func (r *Rules) ShadowedMSS() []Shadowed { return r.mss.shadowed() }

// ShadowedDF returns the df rules that can never apply.
func (r *Rules) ShadowedDF() []Shadowed { return r.df.shadowed() }

// Shadowed is a rule that never applies, because an earlier one, By, matches every packet that it
// matches.
type Shadowed struct{ Rule, By int }

// list holds the rules of one kind in order.
type list[R fmt.Stringer] []*compiled[R]

type compiled[R fmt.Stringer] struct {
	rule   R
	number int
	match  matcher
	hits   atomic.Uint64 // packets that the rule has changed or dropped
}

func (l *list[R]) add(rule R, m matcher) {
	*l = append(*l, &compiled[R]{rule: rule, number: len(*l) + 1, match: m})
}

// find returns the first rule that matches, or nil.
func (l list[R]) find(client, server netip.AddrPort, d packet.Direction) *compiled[R] {
	for _, c := range l {
		if c.match.matches(client, server, d) {
			return c
		}
	}
	return nil
}

func (l list[R]) use() []Use {
	all := make([]Use, len(l))
	for i, c := range l {
		all[i] = Use{Rule: c.rule.String(), Hits: c.hits.Load()}
	}
	return all
}

func (l list[R]) shadowed() []Shadowed {
	var found []Shadowed
	for i, c := range l {
		for _, earlier := range l[:i] {
			if earlier.match.covers(&c.match) {
				found = append(found, Shadowed{Rule: c.number, By: earlier.number})
				break
			}
		}
	}
	return found
}
