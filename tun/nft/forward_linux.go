package nft

import (
	"bytes"
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// ForwardDrops returns the chains that drop forwarded packets by default and have no rule that
// names an interface and accepts packets to it. The rules of such a chain may accept its packets
// all the same, by other words.
func (k *Kernel) ForwardDrops(name string) ([]ChainName, error) {
	all, err := k.conn.ListChains()
	if err != nil {
		return nil, fmt.Errorf("list nftables chains: %w", err)
	}
	var drops []ChainName
	for _, c := range all {
		family := families[c.Table.Family]
		if family == "" || c.Hooknum == nil || *c.Hooknum != *nftables.ChainHookForward || !k.dropsRest(c) {
			continue
		}
		f := forwarding{k: k, name: name, table: c.Table, seen: make(map[visit]bool)}
		f.walk(c.Name, way{})
		if !f.to && !(f.from && f.elsewhere) {
			drops = append(drops, ChainName{family, c.Table.Name, c.Name})
		}
	}
	return drops, nil
}

// forwarding follows the rules that accept forwarded packets, their other conditions aside.
type forwarding struct {
	k     *Kernel
	name  string // of the interface
	table *nftables.Table
	seen  map[visit]bool

	to        bool // some accept packets from elsewhere to the interface
	from      bool // some accept packets from the interface
	elsewhere bool // some accept packets from another interface to any
}

// side is what the rules on a way ask of an interface.
type side uint8

const (
	anyLink side = iota
	thisLink
	otherLink
	eitherLink // this one and others, of a set
)

// way has the interfaces of the packets that get to a rule.
type way struct{ in, out side }

type visit struct {
	chain string
	way   way
}

// walk visits the rules of a chain, and of those that it leads to.
func (f *forwarding) walk(chain string, w way) {
	at := visit{chain, w}
	if f.seen[at] {
		return
	}
	f.seen[at] = true
	rules, err := f.k.conn.GetRules(f.table, &nftables.Chain{Name: chain, Table: f.table})
	if err != nil {
		return
	}
	for _, r := range rules {
		f.rule(r, w)
	}
}

// rule follows a rule for packets on a way.
func (f *forwarding) rule(r *nftables.Rule, w way) {
	var field *side // of the way, which is in the register
	for _, e := range r.Exprs {
		possible := true
		switch e := e.(type) {
		case *expr.Meta:
			field = w.field(e.Key)
		case *expr.Cmp:
			possible = field == nil || f.compare(e, field)
		case *expr.Lookup:
			possible = field == nil || f.lookUp(r.Table, e, field)
			if field != nil && e.IsDestRegSet && possible { // a map of verdicts
				f.verdict(&expr.Verdict{Kind: expr.VerdictAccept}, w)
				return
			}
		case *expr.Verdict:
			f.verdict(e, w)
		}
		if !possible {
			return
		}
	}
}

// compare has a side be what a rule compares it with, and reports whether it can be.
func (f *forwarding) compare(e *expr.Cmp, of *side) bool {
	link := bytes.TrimRight(e.Data, "\x00")
	this, equal := bytes.HasPrefix([]byte(f.name), link), e.Op == expr.CmpOpEq
	switch {
	case !this && !equal:
		return true // any but another one
	case this && equal:
		return of.ask(thisLink)
	}
	return string(link) != "lo" && of.ask(otherLink)
}

// lookUp has a side be in a set, and reports whether it can be.
func (f *forwarding) lookUp(table *nftables.Table, e *expr.Lookup, of *side) bool {
	switch this := f.k.holds(table, e.SetName, f.name); {
	case this && e.IsDestRegSet:
		return of.ask(thisLink)
	case e.IsDestRegSet:
		return false
	case this && !e.Invert:
		return of.ask(eitherLink)
	case !this && e.Invert:
		return true
	}
	return of.ask(otherLink)
}

// ask has a side be another one, and reports whether it can be.
func (s *side) ask(other side) bool {
	switch {
	case *s == other || other == eitherLink && *s != anyLink:
		return true
	case *s == anyLink || *s == eitherLink:
		*s = other
		return true
	}
	return false
}

// field returns the side that a field of a packet names, nil if none.
func (w *way) field(key expr.MetaKey) *side {
	switch key {
	case expr.MetaKeyIIFNAME:
		return &w.in
	case expr.MetaKeyOIFNAME:
		return &w.out
	}
	return nil
}

// verdict notes packets that are accepted, or follows them to the next chain.
func (f *forwarding) verdict(v *expr.Verdict, w way) {
	isThis := func(s side) bool { return s == thisLink || s == eitherLink }
	switch v.Kind {
	case expr.VerdictJump, expr.VerdictGoto:
		f.walk(v.Chain, w)
	case expr.VerdictAccept:
		f.to = f.to || isThis(w.out) && w.in != thisLink
		f.from = f.from || isThis(w.in) && w.out != thisLink
		f.elsewhere = f.elsewhere || w.in == otherLink && w.out == anyLink || w.in == eitherLink && w.out != otherLink
	}
}
