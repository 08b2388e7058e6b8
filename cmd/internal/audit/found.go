package audit

import (
	"maps"
	"sync"

	"syntap/cmd/internal/record"
)

// Found is the kind and the direction of findings that are counted together.
type Found struct {
	Kind      record.FindingKind
	Direction string // as in the record; "" where the kind has none
}

// found counts findings.
type found struct {
	mu     sync.Mutex // guards counts
	counts map[Found]uint64
}

func (c *found) add(f *record.Finding) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts == nil {
		c.counts = make(map[Found]uint64)
	}
	c.counts[Found{f.Kind, f.Direction}]++
}

func (c *found) snapshot() map[Found]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.counts)
}
