//go:build linux

package sent

// set is the keys that were added last: at least most of them, and at most twice as many.
type set struct {
	most        int
	now, before map[uint64]struct{}
	forgot      bool // some that were added
}

func (s *set) add(k uint64) {
	if len(s.now) >= s.most {
		s.forgot = s.forgot || s.before != nil
		s.now, s.before = nil, s.now
	}
	if s.now == nil {
		s.now = make(map[uint64]struct{})
	}
	s.now[k] = struct{}{}
}

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

// history is of connections between two ends, which may have several, one after the other.
type history struct {
	isn   uint32 // of the last one that is not pending
	known bool   // there is one
	sent  bool   // it has sent bytes

	recorded, sending uint16 // how many are on record, and how many have sent bytes; only the difference counts
}

// left is how many records there are for connections that have yet to send.
func (h *history) left() int16 { return int16(h.recorded - h.sending) }

// histories are those that have changed last. They forget as set does.
type histories struct {
	most        int
	now, before map[uint64]history
}

func (h *histories) get(k uint64) history {
	if e, ok := h.now[k]; ok {
		return e
	}
	return h.before[k]
}

func (h *histories) put(k uint64, e history) {
	if len(h.now) >= h.most {
		h.turn()
	}
	if h.now == nil {
		h.now = make(map[uint64]history)
	}
	h.now[k] = e
}

// turn forgets the older half.
func (h *histories) turn() { h.now, h.before = nil, h.now }

func (h *histories) empty() bool { return len(h.now)+len(h.before) == 0 }
