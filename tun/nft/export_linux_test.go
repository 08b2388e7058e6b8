package nft

import "github.com/google/nftables"

// Unchanged reports whether the kernel lists the elements of a set as they were given.
func (k *Kernel) Unchanged(t *Table, s Set) (bool, error) {
	have, err := k.conn.GetSetElements(&nftables.Set{Table: table(t.Name), Name: s.Name, KeyType: s.Type.data, Interval: s.Interval})
	return sameElements(have, elements(s)), err
}
