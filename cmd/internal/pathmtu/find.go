package pathmtu

import (
	"errors"
	"net/netip"
)

// Transmissions of a size after which it counts as lost, in a round of a search and for the last
// word. With 10 % loss each way four get lost together once in 800 times, twelve never.
const (
	roundTries = 4
	finalTries = 12
)

// Find finds the largest packet that passes to an address, of sizes up to top, which is suspected
// not to. probe sends packets of some ascending sizes and reports which have come.
func Find(top int, to netip.Addr, probe func(sizes []int) (reached []bool, err error)) (passes int, err error) {
	least := floorOf(to)
	if top <= least {
		return top, nil
	}
	passes, fails, err := ascend(upTo(top, control, least, 1280, top), roundTries, probe)
	if err != nil {
		return 0, err
	}
	if passes == 0 {
		return 0, errors.New("not even small packets pass")
	}
	for s := (search{passes, fails}); fails != 0; {
		sizes, tries := s.next(), roundTries
		last := s.done()
		if last {
			sizes, tries = []int{control, s.hi}, finalTries
		}
		passes, fails, err := ascend(sizes, tries, probe)
		switch {
		case err != nil:
			return 0, err
		case last && passes < s.hi:
			return s.lo, nil
		case last && passes == top:
			return top, nil
		case last: // the earlier loss was chance
			s = search{passes, top}
		default:
			s.tried(passes, fails)
		}
	}
	return top, nil
}

// ascend tries sizes some times. It returns the largest that passes and the smallest above it that
// does not, 0 for none.
func ascend(sizes []int, tries int, probe func([]int) ([]bool, error)) (passes, fails int, err error) {
	for range tries {
		reached, err := probe(sizes)
		if err != nil {
			return 0, 0, err
		}
		for i, size := range sizes {
			if reached[i] {
				passes = max(passes, size)
			}
		}
		if passes == sizes[len(sizes)-1] {
			return passes, 0, nil
		}
	}
	return passes, above(sizes, passes), nil
}
