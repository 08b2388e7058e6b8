// Package affinity keeps each flow of a router at one shard, its home.
//
// The kernel gives a flow's packets to the queue by which the last packet to its client was
// written, else to one that it chooses by a hash of addresses and ports. So the shard that has seen
// a flow's first packet usually sees all, and is its home. A [Table] covers the exceptions. A shard
// asks it when a flow begins, and for packets of unknown flows, never for packets of flows that it
// knows.
package affinity

import (
	"hash/maphash"
	"sync"
)

// Table holds the homes of flows, which a K names. Its locks are innermost; each is for a part of
// the flows, so that two shards rarely meet at one.
type Table[K comparable] struct {
	seed  maphash.Seed
	parts [parts]part[K]
}

const parts = 64

type part[K comparable] struct {
	mu    sync.Mutex // guards byKey
	byKey map[K]home
	_     [64 - 16]byte // no other part's on the same cache line
}

type home struct {
	shard int32
	uses  int32
}

// New returns an empty table.
func New[K comparable]() *Table[K] {
	t := &Table[K]{seed: maphash.MakeSeed()}
	for i := range t.parts {
		t.parts[i].byKey = make(map[K]home)
	}
	return t
}

func (t *Table[K]) part(k K) *part[K] {
	return &t.parts[maphash.Comparable(t.seed, k)%parts]
}

// Take returns the home of a flow, which is shard where it has had none. It stays so until Give has
// been called as often as Take.
func (t *Table[K]) Take(k K, shard int) int {
	p := t.part(k)
	p.mu.Lock()
	defer p.mu.Unlock()
	h, ok := p.byKey[k]
	if !ok {
		h.shard = int32(shard)
	}
	h.uses++
	p.byKey[k] = h
	return int(h.shard)
}

// Give ends a use of Take.
func (t *Table[K]) Give(k K) {
	p := t.part(k)
	p.mu.Lock()
	defer p.mu.Unlock()
	h, ok := p.byKey[k]
	switch {
	case !ok:
	case h.uses == 1:
		delete(p.byKey, k)
	default:
		h.uses--
		p.byKey[k] = h
	}
}

// Of returns the home of a flow, if it has one.
func (t *Table[K]) Of(k K) (shard int, ok bool) {
	p := t.part(k)
	p.mu.Lock()
	defer p.mu.Unlock()
	h, ok := p.byKey[k]
	return int(h.shard), ok
}

// Len returns the number of flows that have a home.
func (t *Table[K]) Len() int {
	n := 0
	for i := range t.parts {
		t.parts[i].mu.Lock()
		n += len(t.parts[i].byKey)
		t.parts[i].mu.Unlock()
	}
	return n
}
