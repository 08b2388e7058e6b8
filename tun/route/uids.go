package route

import "slices"

// lastUID is the highest user id; 1<<32 - 1 stands for no user (uid_t -1).
const lastUID = 1<<32 - 2

// enteringUIDs returns the users whose traffic enters the TUN: those of include, or all if it is
// empty, except those of exclude. A single range of all ids means that no user is excepted.
func enteringUIDs(include, exclude []UIDRange) []UIDRange {
	if len(include) == 0 {
		include = []UIDRange{{0, lastUID}}
	}
	left := slices.Clone(include)
	for _, x := range exclude {
		var rest []UIDRange
		for _, r := range left {
			if x.Last < r.First || r.Last < x.First {
				rest = append(rest, r)
				continue
			}
			if r.First < x.First {
				rest = append(rest, UIDRange{r.First, x.First - 1})
			}
			if x.Last < r.Last {
				rest = append(rest, UIDRange{x.Last + 1, r.Last})
			}
		}
		left = rest
	}
	return left
}

// allUIDs reports whether uids has a range of all ids.
func allUIDs(uids []UIDRange) bool { return slices.Contains(uids, UIDRange{0, lastUID}) }
