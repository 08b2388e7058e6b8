package pathmtu

import "net/netip"

// rungs is the number of sizes that one round of a search tries: as many segments as fit into the
// initial congestion window (RFC 6928), and into the room that servers leave for a request's head.
const rungs = 6

// floorOf is the size of the packets by which the far end is known: that of RFC 791, and with the
// same MSS over IPv6, where broken tunnels carry less than the 1280 bytes of RFC 8200.
func floorOf(to netip.Addr) int { return 536 + headers(to) }

// search is a search for the largest size that passes. lo is known to pass, hi to fail.
type search struct{ lo, hi int }

// done tells whether the sizes are next to each other.
func (s *search) done() bool { return s.hi-s.lo <= 1 }

// next returns the sizes to try, in ascending order and evenly between the known ones.
func (s *search) next() (sizes []int) {
	between := s.hi - s.lo - 1
	n := min(rungs, between)
	for i := 1; i <= n; i++ {
		sizes = append(sizes, s.lo+i*(between+1)/(n+1))
	}
	return sizes
}

// tried notes a round: the largest of its sizes that passed, 0 for none, and the smallest above
// that which failed, 0 for none.
func (s *search) tried(passes, fails int) {
	s.lo = max(s.lo, passes)
	if fails > s.lo {
		s.hi = min(s.hi, fails)
	}
	if s.hi <= s.lo { // a size that once failed by loss
		s.hi = s.lo + 1
	}
}

// above returns the smallest of the ascending sizes above one.
func above(sizes []int, size int) int {
	for _, s := range sizes {
		if s > size {
			return s
		}
	}
	return 0
}

// control is the size of a packet that passes everywhere.
const control = 128

// upTo returns the sizes that are at most top, each once; they are ascending.
func upTo(top int, sizes ...int) (some []int) {
	for _, s := range sizes {
		if s <= top && (len(some) == 0 || s > some[len(some)-1]) {
			some = append(some, s)
		}
	}
	return some
}
