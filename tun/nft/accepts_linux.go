package nft

import (
	"bytes"
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
)

// ForwardDrops returns the chains that drop forwarded packets by default and have no rule that
// names an interface and accepts packets to it. The rules of such a chain may accept its packets
// all the same, by other words.
func (k *Kernel) ForwardDrops(name string) ([]ChainName, error) {
	return k.drops(*nftables.ChainHookForward, name, func(a *accepting) bool {
		return a.to || a.from && a.elsewhere
	})
}

// InputDrops returns the chains that drop packets to this host by default, and have no rule that
// accepts packets of an interface that it names, or of established connections by any.
func (k *Kernel) InputDrops(name string) ([]ChainName, error) {
	return k.drops(*nftables.ChainHookInput, name, func(a *accepting) bool {
		return a.from || a.answers
	})
}

// drops returns the chains of a hook that drop by default, and do not accept what is asked.
func (k *Kernel) drops(hook nftables.ChainHook, name string, accepts func(*accepting) bool) (drops []ChainName, err error) {
	all, err := k.conn.ListChains()
	if err != nil {
		return nil, fmt.Errorf("list nftables chains: %w", err)
	}
	for _, c := range all {
		family := families[c.Table.Family]
		if family == "" || c.Hooknum == nil || *c.Hooknum != hook || !k.dropsRest(c) {
			continue
		}
		a := accepting{k: k, name: name, table: c.Table, seen: make(map[visit]bool)}
		a.walk(c.Name, way{})
		if !accepts(&a) {
			drops = append(drops, ChainName{family, c.Table.Name, c.Name})
		}
	}
	return drops, nil
}

// accepting follows the rules that accept packets, from a chain of a hook on, other conditions than
// their interfaces aside.
type accepting struct {
	k     *Kernel
	name  string // of the interface
	table *nftables.Table
	seen  map[visit]bool

	to        bool // some accept packets from elsewhere to the interface
	from      bool // some accept packets from the interface
	elsewhere bool // some accept packets from another interface to any
	answers   bool // some accept packets of established connections, from any
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
type way struct {
	in, out     side
	established bool // of established connections alone
}

type visit struct {
	chain string
	way   way
}

// walk visits the rules of a chain, and of those that it leads to.
func (a *accepting) walk(chain string, w way) {
	at := visit{chain, w}
	if a.seen[at] {
		return
	}
	a.seen[at] = true
	rules, err := a.k.conn.GetRules(a.table, &nftables.Chain{Name: chain, Table: a.table})
	if err != nil {
		return
	}
	for _, r := range rules {
		a.rule(r, w)
	}
}

// rule follows a rule for packets on a way.
func (a *accepting) rule(r *nftables.Rule, w way) {
	var field *side // of the way, which is in the register
	byIndex, byState := false, false
	for _, e := range r.Exprs {
		possible := true
		switch e := e.(type) {
		case *expr.Meta:
			field, byIndex = w.field(e.Key)
			byState = false
		case *expr.Ct:
			field, byState = nil, e.Key == expr.CtKeySTATE
		case *expr.Bitwise:
			w.established = w.established || byState && ofEstablished(e.Mask)
		case *expr.Match: // of iptables
			w.established = w.established || matchesEstablished(e)
		case *expr.Cmp:
			possible = field == nil || a.compare(e, field, byIndex)
		case *expr.Lookup:
			possible = field == nil || a.lookUp(r.Table, e, field)
			w.established = w.established || byState
			if (field != nil || byState) && e.IsDestRegSet && possible { // a map of verdicts
				a.verdict(&expr.Verdict{Kind: expr.VerdictAccept}, w)
				return
			}
		case *expr.Verdict:
			a.verdict(e, w)
		}
		if !possible {
			return
		}
	}
}

// ofEstablished reports whether a mask of the states of connections has that of established ones.
func ofEstablished(mask []byte) bool {
	return len(mask) == 4 && binaryutil.NativeEndian.Uint32(mask)&expr.CtStateBitESTABLISHED != 0
}

// matchesEstablished reports whether a match of iptables is for established connections.
func matchesEstablished(m *expr.Match) bool {
	const established = 1 << 1 // XT_CONNTRACK_STATE_BIT(IP_CT_ESTABLISHED)
	if info, ok := m.Info.(*xt.ConntrackMtinfo3); ok {
		return info.StateMask&established != 0
	}
	return m.Name == "conntrack" || m.Name == "state"
}

// compare has a side be what a rule compares it with, and reports whether it can be. Its index
// names another interface: that of the interface changes with each start.
func (a *accepting) compare(e *expr.Cmp, of *side, byIndex bool) bool {
	link := bytes.TrimRight(e.Data, "\x00")
	this, isLo := bytes.HasPrefix([]byte(a.name), link), string(link) == "lo"
	if byIndex {
		this, isLo = false, bytes.Equal(e.Data, binaryutil.NativeEndian.PutUint32(loIndex))
	}
	equal := e.Op == expr.CmpOpEq
	switch {
	case !this && !equal:
		return true // any but another one
	case this && equal:
		return of.ask(thisLink)
	}
	return !isLo && of.ask(otherLink)
}

// loIndex is the index of the interface lo.
const loIndex = 1

// lookUp has a side be in a set, and reports whether it can be.
func (a *accepting) lookUp(table *nftables.Table, e *expr.Lookup, of *side) bool {
	switch this := a.k.holds(table, e.SetName, a.name); {
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

// field returns the side that a field of a packet names, nil if none, and whether by its index.
func (w *way) field(key expr.MetaKey) (of *side, byIndex bool) {
	switch key {
	case expr.MetaKeyIIFNAME, expr.MetaKeyIIF:
		return &w.in, key == expr.MetaKeyIIF
	case expr.MetaKeyOIFNAME, expr.MetaKeyOIF:
		return &w.out, key == expr.MetaKeyOIF
	default:
		return nil, false
	}
}

// verdict notes packets that are accepted, or follows them to the next chain.
func (a *accepting) verdict(v *expr.Verdict, w way) {
	isThis := func(s side) bool { return s == thisLink || s == eitherLink }
	switch v.Kind {
	case expr.VerdictJump, expr.VerdictGoto:
		a.walk(v.Chain, w)
	case expr.VerdictAccept:
		a.to = a.to || isThis(w.out) && w.in != thisLink
		a.from = a.from || isThis(w.in) && w.out != thisLink
		a.elsewhere = a.elsewhere || w.in == otherLink && w.out == anyLink || w.in == eitherLink && w.out != otherLink
		a.answers = a.answers || w.established && w.in != otherLink
	default:
	}
}
