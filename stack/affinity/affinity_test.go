package affinity

import (
	"sync"
	"testing"
)

// A flow has one home as long as it is in use, whichever shard asks, and a new one after that.
func TestHome(t *testing.T) {
	t.Parallel()
	h := New[string]()
	if _, ok := h.Of("a"); ok {
		t.Error("a flow has a home before it begins")
	}
	for _, shard := range []int{3, 5, 3} {
		if got := h.Take("a", shard); got != 3 {
			t.Errorf("shard %d takes a flow of shard 3: home %d", shard, got)
		}
	}
	h.Give("a")
	h.Give("a")
	if got, ok := h.Of("a"); !ok || got != 3 {
		t.Errorf("home %d, %t; want 3 while it is in use", got, ok)
	}
	h.Give("a")
	h.Give("a") // of none
	if got := h.Take("a", 5); got != 5 || h.Len() != 1 {
		t.Errorf("home %d of %d flows, want 5 of 1", got, h.Len())
	}
}

// Of shards that ask at the same time, all get the same home.
func TestHomesAtOnce(t *testing.T) {
	t.Parallel()
	h := New[int]()
	const flows, shards = 1000, 8
	var got [shards][flows]int
	var all sync.WaitGroup
	for s := range shards {
		all.Go(func() {
			for f := range flows {
				got[s][f] = h.Take(f, s)
			}
		})
	}
	all.Wait()
	for f := range flows {
		for s := range shards {
			if got[s][f] != got[0][f] {
				t.Fatalf("flow %d has home %d for shard %d, %d for shard 0", f, got[s][f], s, got[0][f])
			}
			h.Give(f)
		}
	}
	if n := h.Len(); n != 0 {
		t.Errorf("%d flows are left", n)
	}
}
