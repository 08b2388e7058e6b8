package nft

import (
	"bytes"
	"math/bits"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// Guard is a rule that drops packets from a network, or to one, unless they come in by an
// interface.
type Guard struct {
	ChainName
	Priority    int // of the chain; 0 of one that others jump to
	Network     netip.Prefix
	Destination bool   // to the network
	Link        string // "" = one of several, or unknown
}

// Guards returns the rules that drop packets of connections which come in by the interface name,
// for their address and the interface alone.
func (k *Kernel) Guards(name string) (guards []Guard, err error) {
	chains, err := k.lists()
	if err != nil {
		return nil, err
	}
	spared := func(r *nftables.Rule) bool { return k.names(r, name) }
	for _, c := range chains {
		at, rules := k.name(c), k.rules(c.Table, c.Name)
		if at.Family == "" || slices.ContainsFunc(rules, spared) {
			continue
		}
		for _, r := range rules {
			if established(r) {
				break // those behind it concern the first packets of connections
			}
			if g, ok := guard(r); ok && g.Link != name {
				g.ChainName = at
				if c.Priority != nil {
					g.Priority = int(*c.Priority)
				}
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
			others = others || !e.Invert || loaded != expr.MetaKeyIIFNAME && loaded != expr.MetaKeyIIF
			ok = true
		case *expr.Cmp:
			switch at, isPayload := loaded.(*expr.Payload); {
			case isPayload && e.Op == expr.CmpOpEq:
				others = others || g.Network.IsValid()
				g.Network, g.Destination = network(at, e.Data, mask)
				others = others || !g.Network.IsValid()
			case loaded == expr.MetaKeyIIFNAME && e.Op == expr.CmpOpNeq:
				g.Link, ok = string(bytes.TrimRight(e.Data, "\x00")), true
			case loaded == expr.MetaKeyIIF && e.Op == expr.CmpOpNeq:
				ok = true
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
	return g, ok && drops && !others && g.Network.IsValid()
}

// network returns the prefix that an address of a packet is compared with, and whether that is the
// destination's. It is invalid where the rule compares something else. A prefix of whole bytes may
// be loaded without the others.
func network(at *expr.Payload, address, mask []byte) (p netip.Prefix, isDestination bool) {
	if at.Base != expr.PayloadBaseNetworkHeader {
		return p, false
	}
	for _, f := range []Field{Source4, Destination4, Source6, Destination6} {
		if at.Offset != f.offset || at.Len > f.size {
			continue
		}
		b := make([]byte, f.size)
		copy(b, address)
		length := 0
		for _, m := range mask {
			length += bits.OnesCount8(m)
		}
		a, _ := netip.AddrFromSlice(b)
		return netip.PrefixFrom(a, length).Masked(), f == Destination4 || f == Destination6
	}
	return p, false
}
