package fleet

import (
	"errors"
	"fmt"
	"slices"
	"testing"
)

// TestRefusal: records that are refused are found by halves, while others are taken; a store that
// takes none gets few requests.
func TestRefusal(t *testing.T) {
	t.Parallel()
	const n = 1000
	for _, tt := range []struct {
		name     string
		refused  func(seq uint64) bool
		requests int // at most
	}{
		{"all", func(uint64) bool { return true }, maxFruitless + 3*11 + maxRounds},
		{"too old", func(seq uint64) bool { return seq <= 0.6*n }, 250},
		{"some", func(seq uint64) bool { return seq%97 == 5 }, 250},
	} {
		for _, asked := range []bool{false, true} {
			t.Run(fmt.Sprint(tt.name, " asked ", asked), func(t *testing.T) {
				t.Parallel()
				l, store := newLog(t), newFakeStore()
				store.onPut = func(_ int, b *Batch) (int, error) {
					if slices.ContainsFunc(b.Records, func(r Record) bool { return tt.refused(r.Seq) }) {
						return 0, &Refused{Err: errors.New("400 Bad Request")}
					}
					return len(b.Records), nil
				}
				var to Receiver = store
				if !asked {
					to = plain{store}
				}
				l.write(n, "x")
				s, _ := l.start(to)
				l.confirmed(s)
				var lines []string
				for i, line := range l.lines {
					if !tt.refused(uint64(i + 1)) {
						lines = append(lines, line)
					}
				}
				if want := uint64(n - len(lines)); s.Stats()[0].Refused != want {
					t.Errorf("%d refused, want %d", s.Stats()[0].Refused, want)
				}
				if len(lines) > 0 {
					l.holds(store, l.id(), lines)
				}
				store.mu.Lock()
				defer store.mu.Unlock()
				if store.puts > tt.requests {
					t.Errorf("%d requests, want at most %d", store.puts, tt.requests)
				}
			})
		}
	}
}
