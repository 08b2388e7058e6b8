package nft

import (
	"bytes"
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// ChainName names a chain as nft does.
type ChainName struct{ Family, Table, Chain string }

func (c ChainName) String() string { return c.Family + " " + c.Table + " " + c.Chain }

// ForwardDrops returns the chains that drop forwarded packets by default and in whose tables no rule names an interface.
// The rules of such a chain may accept its packets all the same, by other words.
func (k *Kernel) ForwardDrops(name string) ([]ChainName, error) {
	all, err := k.conn.ListChains()
	if err != nil {
		return nil, fmt.Errorf("list nftables chains: %w", err)
	}
	families := map[nftables.TableFamily]string{
		nftables.TableFamilyIPv4: "ip", nftables.TableFamilyIPv6: "ip6", nftables.TableFamilyINet: "inet",
	}
	var drops []ChainName
	for _, c := range all {
		family := families[c.Table.Family]
		if family == "" || c.Hooknum == nil || *c.Hooknum != *nftables.ChainHookForward || c.Policy == nil || *c.Policy != nftables.ChainPolicyDrop {
			continue
		}
		named := false
		for _, other := range all {
			if other.Table.Name == c.Table.Name && other.Table.Family == c.Table.Family {
				named = named || k.names(other, name)
			}
		}
		if !named {
			drops = append(drops, ChainName{family, c.Table.Name, c.Name})
		}
	}
	return drops, nil
}

// names reports whether a rule of a chain names an interface, in full or by a wildcard.
func (k *Kernel) names(c *nftables.Chain, name string) bool {
	rules, err := k.conn.GetRules(c.Table, c)
	if err != nil {
		return false
	}
	for _, r := range rules {
		byName := false
		for _, e := range r.Exprs {
			switch e := e.(type) {
			case *expr.Meta:
				byName = e.Key == expr.MetaKeyIIFNAME || e.Key == expr.MetaKeyOIFNAME
			case *expr.Cmp:
				if data := bytes.TrimRight(e.Data, "\x00"); byName && len(data) > 0 && bytes.HasPrefix([]byte(name), data) && e.Op == expr.CmpOpEq {
					return true
				}
			}
		}
	}
	return false
}
