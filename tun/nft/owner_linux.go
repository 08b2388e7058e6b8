package nft

import (
	"bytes"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
)

// OwnerDrops returns the chains that judge leaving packets by the user or control group of their
// program and drop those of a user, unless a rule of their table asks for a mark. It names chains
// at the hooks output and postrouting, which others of their table may be a part of; not those of
// the tables except.
func (k *Kernel) OwnerDrops(uid, mark uint32, except []string) (drops []ChainName, err error) {
	all, err := k.lists()
	if err != nil {
		return nil, err
	}
	for _, c := range all {
		at := k.name(c)
		if at.Family == "" || slices.Contains(except, c.Table.Name) || c.Hooknum == nil || c.Type == nftables.ChainTypeNAT ||
			*c.Hooknum != *nftables.ChainHookOutput && *c.Hooknum != *nftables.ChainHookPostrouting {
			continue
		}
		var rules []*nftables.Rule // those that it may jump to come first
		for _, other := range all {
			if other.Hooknum == nil && k.mayJump(c, other) {
				rules = append(rules, k.rules(other.Table, other.Name)...)
			}
		}
		rules = append(rules, k.rules(c.Table, c.Name)...)
		byPolicy := c.Policy != nil && *c.Policy == nftables.ChainPolicyDrop
		if dropsOwner(rules, byPolicy, uid, mark) {
			drops = append(drops, at)
		}
	}
	return drops, nil
}

// dropsOwner reports whether rules drop packets of a user for their owner, or accept those of other
// owners alone.
func dropsOwner(rules []*nftables.Rule, byPolicy bool, uid, mark uint32) bool {
	asksMark := func(r *nftables.Rule) bool { return asksForMark(r, mark) }
	if slices.ContainsFunc(rules, asksMark) {
		return false
	}
	others := false // others' packets are accepted
	for _, r := range rules {
		matches, byOwner := ofOwner(r, uid)
		switch kind := verdictOf(r); {
		case byOwner && matches && kind == expr.VerdictDrop:
			return true
		case byOwner && matches && kind == expr.VerdictAccept:
			return false
		case byOwner && kind == expr.VerdictAccept:
			others = true
		case !byOwner && kind == expr.VerdictDrop && others && asksForLinks(r):
			return true
		}
	}
	return others && byPolicy
}

// verdictOf returns the verdict of a rule: VerdictDrop also for a rejection, VerdictAccept also for
// a return.
func verdictOf(r *nftables.Rule) expr.VerdictKind {
	for _, e := range r.Exprs {
		switch e := e.(type) {
		case *expr.Reject:
			return expr.VerdictDrop
		case *expr.Verdict:
			if e.Kind == expr.VerdictReturn {
				return expr.VerdictAccept
			}
			return e.Kind
		case *expr.Target: // of iptables
			if e.Name == "REJECT" {
				return expr.VerdictDrop
			}
		}
	}
	return expr.VerdictContinue
}

// ofOwner reports whether a rule asks for the owner of a packet, and whether one of user uid, and
// group uid, matches. Control groups do not: they are those of other programs.
func ofOwner(r *nftables.Rule, uid uint32) (matches, asks bool) {
	matches = true
	loaded, swapped := false, false // the owner, in network byte order
	for _, e := range r.Exprs {
		switch e := e.(type) {
		case *expr.Meta:
			loaded, swapped = e.Key == expr.MetaKeySKUID || e.Key == expr.MetaKeySKGID, false
			asks = asks || loaded || e.Key == expr.MetaKeyCGROUP
			matches = matches && e.Key != expr.MetaKeyCGROUP
		case *expr.Socket:
			loaded = false
			asks = asks || e.Key == expr.SocketKeyCgroupv2
			matches = matches && e.Key != expr.SocketKeyCgroupv2
		case *expr.Byteorder:
			swapped = true
		case *expr.Cmp:
			matches = matches && (!loaded || compares(e, uid, swapped))
		case *expr.Range:
			in := len(e.FromData) == 4 && len(e.ToData) == 4 &&
				binaryutil.BigEndian.Uint32(e.FromData) <= uid && uid <= binaryutil.BigEndian.Uint32(e.ToData)
			matches = matches && (!loaded || in == (e.Op == expr.CmpOpEq))
		case *expr.Lookup:
			matches = matches && (!loaded || e.Invert) // a set is of users who log in, as a rule
		case *expr.Match: // of iptables
			if e.Name == "owner" || e.Name == "cgroup" {
				asks = true
				matches = matches && e.Name == "owner" && ofOwnerMatch(e, uid)
			}
		default:
			loaded = false
		}
	}
	return matches, asks
}

// compares reports whether a comparison with the register holds if that has n.
func compares(c *expr.Cmp, n uint32, swapped bool) bool {
	if len(c.Data) != 4 {
		return false
	}
	with := binaryutil.NativeEndian.Uint32(c.Data)
	if swapped {
		with = binaryutil.BigEndian.Uint32(c.Data)
	}
	switch c.Op {
	case expr.CmpOpEq:
		return n == with
	case expr.CmpOpNeq:
		return n != with
	case expr.CmpOpLt:
		return n < with
	case expr.CmpOpLte:
		return n <= with
	case expr.CmpOpGt:
		return n > with
	default:
		return n >= with
	}
}

// Flags of iptables' match owner (linux/netfilter/xt_owner.h).
const (
	ownerUID = 1 << 0
	ownerGID = 1 << 1
)

// ofOwnerMatch reports whether iptables' match owner has a user, and a group of the same number.
func ofOwnerMatch(m *expr.Match, uid uint32) bool {
	info, ok := m.Info.(*xt.Unknown)
	if !ok || len(*info) < 18 {
		return false
	}
	field := func(i int) uint32 { return binaryutil.NativeEndian.Uint32((*info)[4*i:]) }
	flags, invert := (*info)[16], (*info)[17]
	for i, flag := range []byte{ownerUID, ownerGID} {
		in := field(2*i) <= uid && uid <= field(2*i+1)
		if flags&flag != 0 && in == (invert&flag != 0) {
			return false
		}
	}
	return true
}

// asksForMark reports whether a rule asks for the whole of a mark.
func asksForMark(r *nftables.Rule, mark uint32) bool {
	loaded := false
	for _, e := range r.Exprs {
		switch e := e.(type) {
		case *expr.Meta:
			loaded = e.Key == expr.MetaKeyMARK && !e.SourceRegister
		case *expr.Socket:
			loaded = e.Key == expr.SocketKeyMark
		case *expr.Cmp:
			if loaded && e.Op == expr.CmpOpEq && bytes.Equal(e.Data, native(mark)) {
				return true
			}
		case *expr.Match: // of iptables
			info, ok := e.Info.(*xt.Unknown)
			if e.Name == "mark" && ok && len(*info) >= 4 && bytes.Equal((*info)[:4], native(mark)) {
				return true
			}
		}
	}
	return false
}

// asksForLinks reports whether a rule asks for no more than links, families and protocols.
func asksForLinks(r *nftables.Rule) bool {
	return !slices.ContainsFunc(r.Exprs, func(e expr.Any) bool {
		switch e := e.(type) {
		case *expr.Meta:
			return !slices.Contains([]expr.MetaKey{
				expr.MetaKeyOIF, expr.MetaKeyOIFNAME, expr.MetaKeyNFPROTO, expr.MetaKeyL4PROTO,
			}, e.Key)
		case *expr.Cmp, *expr.Lookup, *expr.Counter, *expr.Log, *expr.Reject, *expr.Verdict:
			return false
		case *expr.Target:
			return e.Name != "REJECT"
		}
		return true
	})
}
