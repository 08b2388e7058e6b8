package route

import (
	"net/netip"
	"slices"
)

// addressRange is a range of addresses of one family, both ends included.
type addressRange struct{ first, last netip.Addr }

// entering returns the destinations that enter the TUN, of one family, as ranges in order that do
// not touch: those whose longest prefix is one of in, not of out.
func entering(in, out []netip.Prefix, is4 bool) []addressRange {
	type mark struct {
		p     netip.Prefix
		enter bool
	}
	var marks []mark
	add := func(prefixes []netip.Prefix, enter bool) {
		for _, p := range prefixes {
			if p.Addr().Is4() == is4 {
				marks = append(marks, mark{p.Masked(), enter})
			}
		}
	}
	add(in, true)
	add(out, false)
	// A prefix stands before those within it.
	slices.SortFunc(marks, func(a, b mark) int {
		if c := a.p.Addr().Compare(b.p.Addr()); c != 0 {
			return c
		}
		if c := a.p.Bits() - b.p.Bits(); c != 0 {
			return c
		}
		if a.enter == b.enter {
			return 0
		} else if a.enter {
			return -1 // what is excluded counts
		}
		return 1
	})
	var ranges []addressRange
	paint := func(first, last netip.Addr, enter bool) {
		if !enter || !first.IsValid() || last.Less(first) {
			return
		}
		if n := len(ranges); n > 0 && ranges[n-1].last.Next() == first {
			ranges[n-1].last = last
			return
		}
		ranges = append(ranges, addressRange{first, last})
	}
	var open []mark   // prefixes around at, the innermost last
	var at netip.Addr // the first address that is not painted yet; invalid after the last of all
	closeTop := func() {
		top := open[len(open)-1]
		end := lastAddr(top.p)
		paint(at, end, top.enter)
		if at.IsValid() && !end.Less(at) {
			at = end.Next()
		}
		open = open[:len(open)-1]
	}
	for _, m := range marks {
		for len(open) > 0 && !open[len(open)-1].p.Contains(m.p.Addr()) {
			closeTop()
		}
		if len(open) > 0 && at.Less(m.p.Addr()) {
			paint(at, m.p.Addr().Prev(), open[len(open)-1].enter)
		}
		at = m.p.Addr()
		open = append(open, m)
	}
	for len(open) > 0 {
		closeTop()
	}
	return ranges
}

// lastAddr returns the last address of a prefix.
func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
