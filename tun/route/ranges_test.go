package route

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func TestEnteringRanges(t *testing.T) {
	t.Parallel()
	parse := func(s string) (all []netip.Prefix) {
		for p := range strings.FieldsSeq(s) {
			all = append(all, netip.MustParsePrefix(p))
		}
		return all
	}
	for _, tt := range []struct{ in, out, want string }{
		{"", "", ""},
		{"0.0.0.0/0", "", "0.0.0.0-255.255.255.255"},
		{
			"0.0.0.0/0 ::/0", "224.0.0.0/4 255.255.255.255/32",
			"0.0.0.0-223.255.255.255 240.0.0.0-255.255.255.254",
		},
		{"10.0.0.0/8 11.0.0.0/8", "10.1.0.0/16", "10.0.0.0-10.0.255.255 10.2.0.0-11.255.255.255"},
		{
			"0.0.0.0/0 239.1.1.0/24", "224.0.0.0/4",
			"0.0.0.0-223.255.255.255 239.1.1.0-239.1.1.255 240.0.0.0-255.255.255.255",
		},
		{"0.0.0.0/1 128.0.0.0/1", "0.0.0.0/32", "0.0.0.1-255.255.255.255"},
		{"10.0.0.0/8", "10.0.0.0/8", ""},
	} {
		var got []string
		for _, r := range enteringRanges(parse(tt.in), parse(tt.out), true) {
			got = append(got, fmt.Sprintf("%s-%s", r.first, r.last))
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("enteringRanges(%q, %q) = %v, want %s", tt.in, tt.out, got, tt.want)
		}
	}
}

// TestEnteringRangesLongestPrefix compares with the longest prefix, address by address.
func TestEnteringRangesLongestPrefix(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	random := func() (all []netip.Prefix) {
		for range rng.IntN(6) {
			a := netip.AddrFrom4([4]byte{192, 0, 2, byte(rng.IntN(256))})
			all = append(all, netip.PrefixFrom(a, 24+rng.IntN(9)).Masked())
		}
		return all
	}
	for range 500 {
		in, out := random(), random()
		ranges := enteringRanges(in, out, true)
		for i := range 256 {
			a := netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})
			longest := func(ps []netip.Prefix) int {
				bits := -1
				for _, p := range ps {
					if p.Contains(a) {
						bits = max(bits, p.Bits())
					}
				}
				return bits
			}
			want := longest(in) > longest(out) // of two equal prefixes the excluded one counts
			contains := func(r addressRange) bool { return !a.Less(r.first) && !r.last.Less(a) }
			if got := slices.ContainsFunc(ranges, contains); got != want {
				t.Fatalf("enteringRanges(%v, %v) has %s: %t, want %t", in, out, a, got, want)
			}
		}
	}
}
