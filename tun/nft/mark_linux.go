package nft

import (
	"bytes"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// OfSocketMark returns the chains of other tables than name with a rule for the packets of sockets
// that have a mark, as [SocketMark] makes it.
func (k *Kernel) OfSocketMark(mark uint32, name string) (chains []ChainName, err error) {
	all, err := k.lists()
	if err != nil {
		return nil, err
	}
	for _, c := range all {
		at := k.name(c)
		if at.Family == "" || c.Table.Name == name {
			continue
		}
		if slices.ContainsFunc(k.rules(c.Table, c.Name), func(r *nftables.Rule) bool { return ofSocketMark(r, mark) }) {
			chains = append(chains, at)
		}
	}
	return chains, nil
}

// ofSocketMark reports whether a rule begins by the comparison of a mark with an expression that
// the library does not read, as that of sockets is.
func ofSocketMark(r *nftables.Rule, mark uint32) bool {
	if len(r.Exprs) == 0 {
		return false
	}
	if c, ok := r.Exprs[0].(*expr.Socket); ok && c.Key == expr.SocketKeyMark && len(r.Exprs) > 1 {
		r = &nftables.Rule{Exprs: r.Exprs[1:]}
	}
	c, ok := r.Exprs[0].(*expr.Cmp)
	return ok && c.Op == expr.CmpOpEq && bytes.Equal(c.Data, native(mark))
}
