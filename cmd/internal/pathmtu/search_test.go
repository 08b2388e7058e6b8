package pathmtu

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

var netAddress = netip.MustParseAddrPort("203.0.113.2:443")

// TestSearch finds each size between the smallest and the largest within four rounds.
func TestSearch(t *testing.T) {
	t.Parallel()
	for _, low := range []int{128, 576, 1280} {
		for mtu := low; mtu < 1500; mtu++ {
			s, rounds := search{low, 1500}, 0
			for ; !s.done(); rounds++ {
				passes, fails := 0, 0
				sizes := s.next()
				if len(sizes) == 0 || len(sizes) > rungs || !slices.IsSorted(sizes) || sizes[0] <= s.lo || sizes[len(sizes)-1] >= s.hi {
					t.Fatalf("between %d and %d it tries %v", s.lo, s.hi, sizes)
				}
				for _, size := range sizes {
					if size <= mtu {
						passes = size
					} else if fails == 0 {
						fails = size
					}
				}
				s.tried(passes, fails)
			}
			if s.lo != mtu || s.hi != mtu+1 || rounds > 4 {
				t.Fatalf("path MTU %d: found %d/%d in %d rounds", mtu, s.lo, s.hi, rounds)
			}
		}
	}
}

func TestUnfinished(t *testing.T) {
	t.Parallel()
	for _, p := range []Protocol{TLS, HTTP, SSH, Unknown} {
		for _, n := range []int{0, 1, 76, 9000} {
			if got := unfinished(p, "example.com", "/", n); len(got) != n {
				t.Errorf("%s: %d bytes, want %d", p, len(got), n)
			}
		}
		if p == HTTP && slices.Contains(unfinished(p, "example.com", "/", 9000), 0) {
			t.Errorf("%s has a zero byte", p)
		}
	}
}

func TestDecide(t *testing.T) {
	t.Parallel()
	open, hole, told := &Sizes{Passes: 1500}, &Sizes{Passes: 1400, silent: true}, &Sizes{Passes: 1400}
	lower, few := &Sizes{Passes: 1380, silent: true}, &Sizes{Passes: 340}
	for _, tt := range []struct {
		up, down *Sizes
		verdict  string
		clamp    int
	}{
		{open, open, Clear, 0},
		{told, told, Clear, 0},
		{hole, open, BlackHoleUp, 1360},
		{open, hole, BlackHoleDown, 1360},
		{hole, lower, Both, 1340},
		{few, hole, BlackHoleDown, 1360},
		{hole, nil, BlackHoleUp, 1360},
		{open, nil, Undecided, 0},
		{nil, open, Undecided, 0},
	} {
		r := Result{LinkMTU: 1500, Up: tt.up, Down: tt.down, Address: netAddress}
		r.decide()
		clamp := 0
		if r.Clamp != nil {
			clamp = *r.Clamp
		}
		if tt.verdict == Both && !strings.Contains(r.Report(), "\nblack hole up and down\ncure: ") {
			t.Errorf("a black hole both ways is reported as\n%s", r.Report())
		}
		if r.Verdict != tt.verdict || clamp != tt.clamp {
			t.Errorf("up %+v, down %+v: %s, clamp %d, want %s, %d", tt.up, tt.down, r.Verdict, clamp, tt.verdict, tt.clamp)
		}
	}
}

func TestPicture(t *testing.T) {
	t.Parallel()
	hops := []Hop{{TTL: 1, Full: true}, {TTL: 2, Full: true}, {TTL: 3}, {TTL: 4, Far: true}}
	all := []Hop{{TTL: 1, Full: true}, {TTL: 2, Full: true}, {TTL: 3, Full: true, Far: true}}
	for _, tt := range []struct {
		up, down *Sizes
		hops     []Hop
		want     string
	}{
		{&Sizes{Passes: 1400, silent: true}, nil, hops, "1500 ─ 1500 ─ 1500 ─ 1400 ✗"},
		{&Sizes{Passes: 1400}, nil, hops, "1500 ─ 1500 ─ 1500 ─ 1400"},
		{&Sizes{Passes: 1400, silent: true}, nil, nil, "1500 ─ 1400 ✗"},
		{&Sizes{Passes: 1500}, &Sizes{Passes: 1380, silent: true}, all, "1500 ─ 1500 ─ 1500, back ✗ 1380"},
	} {
		r := Result{LinkMTU: 1500, Up: tt.up, Down: tt.down, Hops: tt.hops}
		if got := r.Picture(); got != tt.want {
			t.Errorf("picture %q, want %q", got, tt.want)
		}
	}
}
