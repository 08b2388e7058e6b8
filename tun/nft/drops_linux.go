package nft

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
)

// ChainName names a chain as nft does.
type ChainName struct {
	Family, Table, Chain string
	Legacy               bool // of iptables-legacy
}

func (c ChainName) String() string { return c.Family + " " + c.Table + " " + c.Chain }

// WithTool returns the name of a chain behind that of the tool whose rules it has.
func (c ChainName) WithTool() string {
	tool := "nftables"
	if c.Legacy {
		tool = "iptables-legacy"
	}
	return fmt.Sprintf("%s chain %s", tool, c)
}

// HasChain reports whether a table has a chain.
func (k *Kernel) HasChain(name ChainName) bool {
	all, err := k.lists()
	return err == nil && slices.ContainsFunc(all, func(c *nftables.Chain) bool { return k.name(c) == name })
}

// SourceDrops returns the chains with a reverse-path filter that disregards packets' marks and may
// concern those that come in by an interface, and in whose tables no rule names that.
func (k *Kernel) SourceDrops(name string) (drops []ChainName, err error) {
	all, err := k.lists()
	if err != nil {
		return nil, err
	}
	excepted := make(map[ChainName]bool) // tables
	table := func(c ChainName) ChainName {
		c.Chain = ""
		return c
	}
	for _, c := range all {
		at, rules := k.name(c), k.rules(c.Table, c.Name)
		if at.Family == "" {
			continue
		}
		if slices.ContainsFunc(rules, func(r *nftables.Rule) bool { return k.names(r, name) }) {
			excepted[table(at)] = true
		}
		if slices.ContainsFunc(rules, filtersSources) {
			drops = append(drops, at)
		}
	}
	return slices.DeleteFunc(drops, func(c ChainName) bool { return excepted[table(c)] }), nil
}

// Untracks returns the chains with a rule that takes packets off connection tracking.
func (k *Kernel) Untracks() (chains []ChainName, err error) {
	all, err := k.lists()
	if err != nil {
		return nil, err
	}
	for _, c := range all {
		at := k.name(c)
		if at.Family != "" && slices.ContainsFunc(k.rules(c.Table, c.Name), untracked) {
			chains = append(chains, at)
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

// dropsRest reports whether a chain drops the packets that no rule of it accepts, by its policy or
// by its last rule.
func (k *Kernel) dropsRest(c *nftables.Chain) bool {
	if c.Policy != nil && *c.Policy == nftables.ChainPolicyDrop {
		return true
	}
	rules := k.rules(c.Table, c.Name)
	return len(rules) > 0 && dropsAll(rules[len(rules)-1])
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

// ofEstablished reports whether a mask of the states of connections has that of established ones.
func ofEstablished(mask []byte) bool {
	return len(mask) == 4 && binaryutil.NativeEndian.Uint32(mask)&expr.CtStateBitESTABLISHED != 0
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
