package nft

import (
	"bytes"
	"fmt"
	"math/bits"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// Guard is a rule that drops packets from a network unless they come in by an interface.
type Guard struct {
	ChainName
	Source netip.Prefix
	Link   string // "" = one of several
}

// Guards returns the rules that drop packets from a network which come in by the interface name.
func (k *Kernel) Guards(name string) (guards []Guard, err error) {
	chains, err := k.conn.ListChains()
	if err != nil {
		return nil, fmt.Errorf("list nftables chains: %w", err)
	}
	spared := func(r *nftables.Rule) bool { return names(r, name) }
	for _, c := range chains {
		family := families[c.Table.Family]
		rules, err := k.conn.GetRules(c.Table, c)
		if family == "" || err != nil || slices.ContainsFunc(rules, spared) {
			continue
		}
		for _, r := range rules {
			if g, ok := guard(r); ok && g.Link != name {
				g.ChainName = ChainName{family, c.Table.Name, c.Name}
				guards = append(guards, g)
			}
		}
	}
	return guards, nil
}

// guard reads a rule that has an address and an interface as its only conditions, but for the
// family.
func guard(r *nftables.Rule) (g Guard, ok bool) {
	var loaded any // by the expression before
	var mask []byte
	others, drops := false, false
	for _, e := range r.Exprs {
		switch e := e.(type) {
		case *expr.Meta:
			loaded = e.Key
		case *expr.Payload:
			loaded, mask = e, bytes.Repeat([]byte{0xff}, int(e.Len))
		case *expr.Bitwise:
			mask = e.Mask
		case *expr.Lookup:
			others = others || loaded != expr.MetaKeyIIFNAME || !e.Invert
			ok = true
		case *expr.Cmp:
			switch at, isPayload := loaded.(*expr.Payload); {
			case isPayload && e.Op == expr.CmpOpEq:
				g.Source = network(at, e.Data, mask)
				others = others || !g.Source.IsValid()
			case loaded == expr.MetaKeyIIFNAME && e.Op == expr.CmpOpNeq:
				g.Link, ok = string(bytes.TrimRight(e.Data, "\x00")), true
			case loaded != expr.MetaKeyNFPROTO:
				others = true
			}
		case *expr.Match, *expr.Ct, *expr.Fib, *expr.Limit:
			others = true
		case *expr.Reject:
			drops = true
		case *expr.Verdict:
			drops = e.Kind == expr.VerdictDrop
		}
	}
	return g, ok && drops && !others && g.Source.IsValid()
}

// network returns the prefix that a source address is compared with, which is invalid where the
// rule compares something else. A prefix of whole bytes may be loaded without the others.
func network(at *expr.Payload, address, mask []byte) netip.Prefix {
	var b []byte
	switch {
	case at.Base == expr.PayloadBaseNetworkHeader && at.Offset == Source4.offset && at.Len <= Source4.size:
		b = make([]byte, Source4.size)
	case at.Base == expr.PayloadBaseNetworkHeader && at.Offset == Source6.offset && at.Len <= Source6.size:
		b = make([]byte, Source6.size)
	default:
		return netip.Prefix{}
	}
	copy(b, address)
	length := 0
	for _, m := range mask {
		length += bits.OnesCount8(m)
	}
	a, _ := netip.AddrFromSlice(b)
	return netip.PrefixFrom(a, length).Masked()
}
