package web

import (
	"fmt"
	"slices"
	"testing"
)

// entrants enters some members of a peer and returns their names, which are told when one is
// evicted.
func entrants(c *crowd, evicted *[]string, peer string, n int, join bool) (refused int) {
	for i := range n {
		name := fmt.Sprint(peer, i)
		m := &member{peer, func() { *evicted = append(*evicted, name) }}
		if !join {
			c.enter(m)
		} else if !c.join(m) {
			refused++
		}
	}
	return refused
}

// A peer that floods a place pushes out its own, also while the place is full of others.
func TestEnter(t *testing.T) {
	t.Parallel()
	var evicted []string
	c := &crowd{max: 8, maxOfPeer: 4}
	entrants(c, &evicted, "a", 6, false)
	if want := []string{"a0", "a1"}; !slices.Equal(evicted, want) || c.size() != 4 {
		t.Errorf("evicted %v, want %v; %d are in", evicted, want, c.size())
	}
	entrants(c, &evicted, "b", 1, false)
	entrants(c, &evicted, "c", 4, false)
	evicted = nil
	entrants(c, &evicted, "d", 1, false)
	entrants(c, &evicted, "b", 1, false)
	if c.size() != 8 || len(evicted) != 2 || slices.ContainsFunc(evicted, func(name string) bool { return name[0] != 'a' && name[0] != 'c' }) {
		t.Errorf("evicted %v, want the oldest of those with many; %d are in", evicted, c.size())
	}
}

// One that joins pushes out none of its own.
func TestJoin(t *testing.T) {
	t.Parallel()
	var evicted []string
	c := &crowd{max: 8, maxOfPeer: 4}
	if refused := entrants(c, &evicted, "a", 6, true) + entrants(c, &evicted, "b", 6, true); refused != 4 || evicted != nil {
		t.Errorf("%d are refused, and %v evicted", refused, evicted)
	}
	if refused := entrants(c, &evicted, "c", 4, true); refused != 2 || len(evicted) != 2 || c.size() != 8 {
		t.Errorf("%d of another peer are refused, %v evicted, %d are in", refused, evicted, c.size())
	}
	for _, m := range slices.Clone(c.members) {
		c.leave(m)
		c.leave(m)
	}
	if c.size() != 0 {
		t.Errorf("%d have not left", c.size())
	}
}
