package audit

import (
	"math/rand/v2"
	"testing"

	"syntap/cmd/internal/record"
	"syntap/tap/handshake"
)

// The queue gives back its items in order, up to its limit, and gives back the memory of a
// burst.
func TestQueue(t *testing.T) {
	t.Parallel()
	const limit = 4 * spare
	q := newQueue(limit)
	var in, out uint32 // the next number to push, to pop
	for round := range 200 {
		for range rand.IntN(limit) {
			waiting := int(in - out)
			if ok := q.push(item{record: &record.Attributed{Record: &handshake.Record{ClientISN: in}}}); ok != (waiting < limit) {
				t.Fatalf("push with %d of %d waiting: %t", waiting, limit, ok)
			} else if ok {
				in++
			}
		}
		pops := rand.IntN(limit)
		if round%10 == 0 {
			pops = limit + 1
		}
		for range pops {
			i, ok := q.pop()
			if ok != (out < in) || ok && i.record.ClientISN != out {
				t.Fatalf("pop: %v, %t, want %d of %d", i.record, ok, out, in)
			}
			if ok {
				out++
			}
		}
		if q.len() != int(in-out) || cap(q.items) > 4*limit {
			t.Fatalf("%d waiting in memory for %d, want %d", q.len(), cap(q.items), in-out)
		}
		if in == out && cap(q.items) > spare {
			t.Fatalf("empty with memory for %d", cap(q.items))
		}
	}
}

// A reader that takes everything after each token misses nothing.
func TestQueueNews(t *testing.T) {
	t.Parallel()
	const items = 100_000
	q := newQueue(items)
	go func() {
		for range items {
			q.push(item{})
		}
	}()
	for n := 0; n < items; {
		select {
		case <-q.ready:
		case <-t.Context().Done():
			t.Fatalf("%d of %d", n, items)
		}
		for _, ok := q.pop(); ok; _, ok = q.pop() {
			n++
		}
	}
}
