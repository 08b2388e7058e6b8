package egress

import (
	"slices"

	"syntap/tun/packet"
)

// bucket is the rules that share a name, a domain or an address, by their numbers in ascending
// order.
type bucket struct {
	all []int

	// In a bucket of many rules, those with single ports only, by port, and the others. nil if all
	// are tried.
	byPort map[uint16][]int
	rest   []int
}

// fewRules is the largest bucket whose rules are tried one by one.
const fewRules = 4

// newBucket returns a bucket of some rules.
func newBucket(rules []Rule, numbers []int) bucket {
	b := bucket{all: numbers}
	if len(numbers) <= fewRules {
		return b
	}
	b.byPort = make(map[uint16][]int)
	for _, n := range numbers {
		ports := rules[n].Ports
		isRange := func(r packet.PortRange) bool { return r.First != r.Last }
		if len(ports) == 0 || slices.ContainsFunc(ports, isRange) {
			b.rest = append(b.rest, n)
			continue
		}
		for _, p := range ports {
			b.byPort[p.First] = appendOnce(b.byPort[p.First], n)
		}
	}
	return b
}

func bucketsOf(rules []Rule, lists map[string][]int) map[string]*bucket {
	buckets := make(map[string]*bucket, len(lists))
	for name, numbers := range lists {
		b := newBucket(rules, numbers)
		buckets[name] = &b
	}
	return buckets
}

// appendOnce appends the number of a rule, unless it is the last one already.
func appendOnce(list []int, i int) []int {
	if len(list) > 0 && list[len(list)-1] == i {
		return list
	}
	return append(list, i)
}
