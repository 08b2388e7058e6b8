package route

import (
	"cmp"
	"net/netip"
	"slices"
)

// addressRange is a range of addresses of one family, both ends included.
type addressRange struct{ first, last netip.Addr }

// decision says whether the destinations of a prefix enter the TUN, unless a longer prefix decides.
type decision struct {
	prefix netip.Prefix
	enters bool
}

// enteringRanges returns the destinations of one family that enter the TUN: those whose longest
// prefix is one of in. A prefix of both in and out is out. The ranges are sorted and do not touch.
func enteringRanges(in, out []netip.Prefix, is4 bool) []addressRange {
	var p painter
	for _, d := range decisions(in, out, is4) {
		for len(p.open) > 0 && !p.top().prefix.Contains(d.prefix.Addr()) {
			p.closeTop()
		}
		if len(p.open) > 0 && p.next.Less(d.prefix.Addr()) {
			p.paint(d.prefix.Addr().Prev(), p.top().enters)
		}
		p.next = d.prefix.Addr()
		p.open = append(p.open, d)
	}
	for len(p.open) > 0 {
		p.closeTop()
	}
	return p.ranges
}

// decisions returns the prefixes of one family, each before the longer prefixes within it.
func decisions(in, out []netip.Prefix, is4 bool) (all []decision) {
	add := func(prefixes []netip.Prefix, enters bool) {
		for _, p := range prefixes {
			if p.Addr().Is4() == is4 {
				all = append(all, decision{p.Masked(), enters})
			}
		}
	}
	add(in, true)
	add(out, false)
	slices.SortStableFunc(all, func(a, b decision) int { // of equal prefixes the last decides: out
		return cmp.Or(a.prefix.Addr().Compare(b.prefix.Addr()), a.prefix.Bits()-b.prefix.Bits())
	})
	return all
}

// painter goes through the addresses of a family in order.
type painter struct {
	ranges []addressRange
	open   []decision // whose prefixes hold next, the longest last
	next   netip.Addr // the first address without a decision; invalid after the last one
}

func (p *painter) top() decision { return p.open[len(p.open)-1] }

// paint decides the addresses from next to last.
func (p *painter) paint(last netip.Addr, enters bool) {
	if !enters || !p.next.IsValid() || last.Less(p.next) {
		return
	}
	if n := len(p.ranges); n > 0 && p.ranges[n-1].last.Next() == p.next {
		p.ranges[n-1].last = last
		return
	}
	p.ranges = append(p.ranges, addressRange{p.next, last})
}

// closeTop ends the longest of the open prefixes.
func (p *painter) closeTop() {
	top := p.top()
	last := lastAddr(top.prefix)
	p.paint(last, top.enters)
	if p.next.IsValid() && !last.Less(p.next) {
		p.next = last.Next()
	}
	p.open = p.open[:len(p.open)-1]
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
