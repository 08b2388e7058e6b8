//go:build linux

package sent

// set is the keys that were added last: at least most of them, and at most twice as many.
type set struct {
	most        int
	now, before map[uint64]struct{}
}

func (s *set) add(k uint64) {
	if len(s.now) >= s.most {
		s.turn()
	}
	if s.now == nil {
		s.now = make(map[uint64]struct{})
	}
	s.now[k] = struct{}{}
}

// turn forgets the older half.
func (s *set) turn() { s.now, s.before = nil, s.now }

// has reports whether a key is there, and keeps it longer.
func (s *set) has(k uint64) bool {
	if _, ok := s.now[k]; ok {
		return true
	}
	_, ok := s.before[k]
	if ok {
		s.add(k)
	}
	return ok
}

// take removes a key, and reports whether it was there.
func (s *set) take(k uint64) bool {
	_, now := s.now[k]
	_, before := s.before[k]
	delete(s.now, k)
	delete(s.before, k)
	return now || before
}

func (s *set) empty() bool { return len(s.now)+len(s.before) == 0 }

// counts is how often keys were added and not taken yet. It forgets as set does.
type counts struct {
	most        int
	now, before map[uint64]uint32
}

func (c *counts) add(k uint64) {
	if len(c.now) >= c.most {
		c.now, c.before = nil, c.now
	}
	if c.now == nil {
		c.now = make(map[uint64]uint32)
	}
	c.now[k]++
}

// take takes a key once, and reports whether it was there.
func (c *counts) take(k uint64) bool {
	for _, m := range []map[uint64]uint32{c.before, c.now} {
		if n := m[k]; n > 1 {
			m[k] = n - 1
			return true
		} else if n == 1 {
			delete(m, k)
			return true
		}
	}
	return false
}
