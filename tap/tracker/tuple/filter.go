package tuple

import "sync/atomic"

// Filter tells at the price of one load that a flow is not watched. It counts the watched flows by
// their hash: zero is certain, any other count may be that of a neighbour and needs a look at the
// table.
type Filter struct {
	counts [1 << 16]atomic.Int32
}

// Add counts delta more flows with a hash.
func (f *Filter) Add(hash uint64, delta int32) {
	f.counts[hash%uint64(len(f.counts))].Add(delta)
}

// Has reports whether there may be a flow with a hash.
func (f *Filter) Has(hash uint64) bool {
	return f.counts[hash%uint64(len(f.counts))].Load() != 0
}
