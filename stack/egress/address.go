package egress

import (
	"cmp"
	"net/netip"
	"slices"
)

// ranges are ranges of addresses of one family, each with the rules whose prefixes have them.
type ranges struct {
	starts []netip.Addr // ascending; a range ends where the next one starts
	rules  []bucket     // of each range
}

// newRanges returns the ranges that prefixes of a family make.
func newRanges(
	all []Rule, prefixes map[netip.Prefix][]int, family func(netip.Addr) bool,
) (r ranges) {
	var sorted []netip.Prefix // each behind those that contain it
	for p := range prefixes {
		if family(p.Addr()) {
			sorted = append(sorted, p)
		}
	}
	slices.SortFunc(sorted, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	type around struct {
		netip.Prefix
		rules []int
	}
	var stack []around
	pop := func() {
		top := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		var outside []int
		if len(stack) > 0 {
			outside = stack[len(stack)-1].rules
		}
		r.start(last(top.Prefix).Next(), newBucket(all, outside))
	}
	for _, p := range sorted {
		for len(stack) > 0 && !stack[len(stack)-1].Contains(p.Addr()) {
			pop()
		}
		rules := slices.Clone(prefixes[p])
		if len(stack) > 0 {
			rules = append(rules, stack[len(stack)-1].rules...)
			slices.Sort(rules)
			rules = slices.Compact(rules)
		}
		stack = append(stack, around{p, rules})
		r.start(p.Addr(), newBucket(all, rules))
	}
	for len(stack) > 0 {
		pop()
	}
	return r
}

// start begins a range; a is invalid behind the last address.
func (r *ranges) start(a netip.Addr, rules bucket) {
	n := len(r.starts)
	switch {
	case !a.IsValid():
	case n > 0 && r.starts[n-1] == a:
		r.rules[n-1] = rules
	default:
		r.starts, r.rules = append(r.starts, a), append(r.rules, rules)
	}
}

// last returns the last address of a prefix.
func last(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < 8*len(b); i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

var noRules bucket

// at returns the rules of an address.
func (r *ranges) at(a netip.Addr) *bucket {
	i, exact := slices.BinarySearchFunc(r.starts, a, netip.Addr.Compare)
	if !exact {
		i--
	}
	if i < 0 {
		return &noRules
	}
	return &r.rules[i]
}

var (
	nat64     = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052 §2.1
	sixToFour = netip.MustParsePrefix("2002::/16")    // RFC 3056 §2
	v4Compat  = netip.MustParsePrefix("::/96")        // RFC 4291 §2.5.5.1
)

// Embedded returns the IPv4 address that an IPv6 address stands for, or the address itself.
func Embedded(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	b := a.As16()
	switch {
	case a.Is4() || a.IsUnspecified() || a == netip.IPv6Loopback():
		return a
	case nat64.Contains(a), v4Compat.Contains(a):
		return netip.AddrFrom4([4]byte(b[12:]))
	case sixToFour.Contains(a):
		return netip.AddrFrom4([4]byte(b[2:6]))
	}
	return a
}
