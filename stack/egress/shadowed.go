package egress

import "slices"

// Shadowed is a rule that never applies, because an earlier one, By, matches every flow that it
// matches.
type Shadowed struct{ Rule, By int } // their numbers, from 0

// Shadowed returns the rules that an earlier one shadows.
func (r *Rules) Shadowed() (all []Shadowed) {
	for i := range r.rules {
		rule := &r.rules[i]
		by := len(r.rules)
		covers := func(n int) bool { return n < i && r.rules[n].covers(rule) }
		for _, list := range r.candidates(rule) {
			if at := slices.IndexFunc(list, covers); at >= 0 {
				by = min(by, list[at])
			}
		}
		if by < i {
			all = append(all, Shadowed{i, by})
		}
	}
	return all
}

// candidates returns lists with all rules that may cover one: each has to match its first name or
// prefix, if it asks for one.
func (r *Rules) candidates(rule *Rule) [][]int {
	all := [][]int{r.others.all}
	if len(rule.Names) > 0 {
		first := rule.Names[0]
		if b := r.below[first.name]; first.below && b != nil {
			all = append(all, b.all)
		}
		r.named(first.name, func(b *bucket) { all = append(all, b.all) })
	}
	if len(rule.Dst) > 0 {
		all = append(all, r.at(rule.Dst[0].Addr()).all)
	}
	return all
}
