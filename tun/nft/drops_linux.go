package nft

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
)

// ChainName names a chain as nft does.
type ChainName struct{ Family, Table, Chain string }

func (c ChainName) String() string { return c.Family + " " + c.Table + " " + c.Chain }

// HasChain reports whether a table has a chain.
func (k *Kernel) HasChain(name ChainName) bool {
	all, err := k.conn.ListChains()
	return err == nil && slices.ContainsFunc(all, func(c *nftables.Chain) bool {
		return name == ChainName{families[c.Table.Family], c.Table.Name, c.Name}
	})
}

// SourceDrops returns the chains with a reverse-path filter that disregards packets' marks and may
// concern those that come in by an interface, and in whose tables no rule names that.
func (k *Kernel) SourceDrops(name string) (drops []ChainName, err error) {
	all, err := k.conn.ListChains()
	if err != nil {
		return nil, fmt.Errorf("list nftables chains: %w", err)
	}
	excepted := make(map[ChainName]bool) // tables
	for _, c := range all {
		family := families[c.Table.Family]
		rules, err := k.conn.GetRules(c.Table, c)
		if family == "" || err != nil {
			continue
		}
		if slices.ContainsFunc(rules, func(r *nftables.Rule) bool { return k.names(r, name) }) {
			excepted[ChainName{family, c.Table.Name, ""}] = true
		}
		if slices.ContainsFunc(rules, filtersSources) {
			drops = append(drops, ChainName{family, c.Table.Name, c.Name})
		}
	}
	return slices.DeleteFunc(drops, func(c ChainName) bool {
		return excepted[ChainName{c.Family, c.Table, ""}]
	}), nil
}

// Untracks returns the chains with a rule that takes packets off connection tracking.
func (k *Kernel) Untracks() (chains []ChainName, err error) {
	all, err := k.conn.ListChains()
	if err != nil {
		return nil, fmt.Errorf("list nftables chains: %w", err)
	}
	for _, c := range all {
		family := families[c.Table.Family]
		rules, err := k.conn.GetRules(c.Table, c)
		if family != "" && err == nil && slices.ContainsFunc(rules, untracked) {
			chains = append(chains, ChainName{family, c.Table.Name, c.Name})
		}
	}
	return chains, nil
}

// notrackFlag is XT_CT_NOTRACK of linux/netfilter/xt_CT.h.
const notrackFlag = 1 << 0

// untracked reports whether a rule takes packets off connection tracking.
func untracked(r *nftables.Rule) bool {
	return slices.ContainsFunc(r.Exprs, func(e expr.Any) bool {
		switch e := e.(type) {
		case *expr.Notrack:
			return true
		case *expr.Target: // of iptables
			info, ok := e.Info.(*xt.Unknown)
			return e.Name == "NOTRACK" || e.Name == "CT" && ok && len(*info) > 0 && (*info)[0]&notrackFlag != 0
		}
		return false
	})
}

var families = map[nftables.TableFamily]string{
	nftables.TableFamilyIPv4: "ip", nftables.TableFamilyIPv6: "ip6", nftables.TableFamilyINet: "inet",
}

// mayJump reports whether a chain of a hook may jump to another one, or is it.
func mayJump(c, to *nftables.Chain) bool {
	return to.Table.Name == c.Table.Name && to.Table.Family == c.Table.Family &&
		(to.Hooknum == nil || to.Name == c.Name)
}

// dropsRest reports whether a chain drops the packets that no rule of it accepts, by its policy or
// by its last rule.
func (k *Kernel) dropsRest(c *nftables.Chain) bool {
	if c.Policy != nil && *c.Policy == nftables.ChainPolicyDrop {
		return true
	}
	rules, err := k.conn.GetRules(c.Table, c)
	return err == nil && len(rules) > 0 && dropsAll(rules[len(rules)-1])
}

// dropsAll reports whether a rule drops or rejects every packet.
func dropsAll(r *nftables.Rule) bool {
	for _, e := range r.Exprs {
		switch e := e.(type) {
		case *expr.Counter, *expr.Log:
		case *expr.Reject:
			return true
		case *expr.Verdict:
			return e.Kind == expr.VerdictDrop
		case *expr.Target: // of iptables
			return e.Name == "REJECT"
		default:
			return false
		}
	}
	return false
}

// names reports whether a rule names an interface, in full, by a wildcard or in a set.
func (k *Kernel) names(r *nftables.Rule, name string) bool {
	byName := false
	for _, e := range r.Exprs {
		switch e := e.(type) {
		case *expr.Meta:
			byName = e.Key == expr.MetaKeyIIFNAME || e.Key == expr.MetaKeyOIFNAME
		case *expr.Lookup:
			if byName && !e.Invert && k.holds(r.Table, e.SetName, name) {
				return true
			}
		case *expr.Cmp:
			if data := bytes.TrimRight(e.Data, "\x00"); byName && len(data) > 0 &&
				bytes.HasPrefix([]byte(name), data) && e.Op == expr.CmpOpEq {
				return true
			}
		}
	}
	return false
}

// holds reports whether a set or map of a table has an element for an interface.
func (k *Kernel) holds(table *nftables.Table, set, name string) bool {
	elements, err := k.conn.GetSetElements(&nftables.Set{Table: table, Name: set})
	return err == nil && slices.ContainsFunc(elements, func(e nftables.SetElement) bool {
		return bytes.Contains(e.Key, interfaceName(name))
	})
}

// established reports whether a rule asks for the state of connections, whatever interface they
// come in by, unless for others than established ones.
func established(r *nftables.Rule) bool {
	byState, byLink := false, false
	for _, e := range r.Exprs {
		switch e := e.(type) {
		case *expr.Ct:
			byState = e.Key == expr.CtKeySTATE
		case *expr.Bitwise:
			byState = byState && ofEstablished(e.Mask)
		case *expr.Meta:
			byLink = byLink || e.Key == expr.MetaKeyIIFNAME || e.Key == expr.MetaKeyIIF
		case *expr.Match: // of iptables
			byState = e.Name == "conntrack" || e.Name == "state"
		}
	}
	return byState && !byLink
}

// Flags of iptables' match rpfilter (linux/netfilter/xt_rpfilter.h).
const (
	rpfilterLoose     = 1 << 0
	rpfilterValidMark = 1 << 1
)

// filtersSources reports whether a rule asks if packets come in by the interface of the route to
// their source, without their mark, and does not name other interfaces.
func filtersSources(r *nftables.Rule) bool {
	filters, byName := false, false
	for _, e := range r.Exprs {
		switch e := e.(type) {
		case *expr.Meta:
			byName = e.Key == expr.MetaKeyIIFNAME || e.Key == expr.MetaKeyIIF
		case *expr.Cmp:
			if byName && e.Op == expr.CmpOpEq {
				return false
			}
			byName = false
		case *expr.Lookup:
			if byName && !e.Invert {
				return false
			}
		case *expr.Fib:
			filters = filters || e.FlagSADDR && e.FlagIIF && !e.FlagMARK && !e.ResultADDRTYPE
		case *expr.Match: // of iptables
			info, ok := e.Info.(*xt.Unknown)
			filters = filters || e.Name == "rpfilter" && ok && len(*info) > 0 &&
				(*info)[0]&(rpfilterLoose|rpfilterValidMark) == 0
		}
	}
	return filters
}
