package nft

import "fmt"

// Count is an element of a set that packets fill.
type Count struct {
	Key     []byte
	Packets uint64
}

// Counts returns the elements of a set that packets fill.
func (k *Kernel) Counts(name, set string) ([]Count, error) {
	s, err := k.conn.GetSetByName(table(name), set)
	if err != nil {
		return nil, fmt.Errorf("find set %s of nftables table %s: %w", set, name, err)
	}
	found, err := k.conn.GetSetElements(s)
	if err != nil {
		return nil, fmt.Errorf("list set %s of nftables table %s: %w", set, name, err)
	}
	var all []Count
	for _, e := range found {
		if e.Counter != nil {
			all = append(all, Count{Key: e.Key, Packets: e.Counter.Packets})
		}
	}
	return all, nil
}
