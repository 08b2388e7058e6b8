package web

import (
	"slices"
	"sync"
)

// crowd bounds how many are in a place at a time, and how many of one peer. Where it is full, the
// oldest of the peer that has the most makes room: a peer that floods it pushes out only its own.
type crowd struct {
	max, maxOfPeer int

	mu      sync.Mutex // guards the one below
	members []*member  // the oldest first
}

// member is one that is in a crowd.
type member struct {
	peer  string
	evict func() // makes it go; it may not wait
}

// enter takes in one more. The oldest of a peer that has too many makes room.
func (c *crowd) enter(m *member) {
	c.mu.Lock()
	var victim *member
	switch top, most := c.largest(); {
	case c.of(m.peer) >= c.maxOfPeer:
		victim = c.removeOldest(m.peer)
	case len(c.members) >= c.max && c.of(m.peer) < most:
		victim = c.removeOldest(top)
	case len(c.members) >= c.max:
		victim = c.removeOldest(m.peer)
	}
	c.members = append(c.members, m)
	c.mu.Unlock()
	if victim != nil {
		victim.evict()
	}
}

// join takes in one more, if its peer may have that: nothing of its own makes room for it.
func (c *crowd) join(m *member) bool {
	c.mu.Lock()
	own := c.of(m.peer)
	var victim *member
	if top, most := c.largest(); own < c.maxOfPeer && len(c.members) >= c.max && own+1 < most {
		victim = c.removeOldest(top)
	}
	joined := own < c.maxOfPeer && len(c.members) < c.max
	if joined {
		c.members = append(c.members, m)
	}
	c.mu.Unlock()
	if victim != nil {
		victim.evict()
	}
	return joined
}

// leave takes one out, if it is still in.
func (c *crowd) leave(m *member) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.members = slices.DeleteFunc(c.members, func(other *member) bool { return other == m })
}

func (c *crowd) size() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.members)
}

// of returns how many a peer has. mu is held, as by those below.
func (c *crowd) of(peer string) (n int) {
	for _, m := range c.members {
		if m.peer == peer {
			n++
		}
	}
	return n
}

// largest returns the peer that has the most.
func (c *crowd) largest() (peer string, most int) {
	counts := make(map[string]int)
	for _, m := range c.members {
		if counts[m.peer]++; counts[m.peer] > most {
			peer, most = m.peer, counts[m.peer]
		}
	}
	return peer, most
}

func (c *crowd) removeOldest(peer string) *member {
	i := slices.IndexFunc(c.members, func(m *member) bool { return m.peer == peer })
	if i < 0 {
		return nil
	}
	m := c.members[i]
	c.members = slices.Delete(c.members, i, i+1)
	return m
}
