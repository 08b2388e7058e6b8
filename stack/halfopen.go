//go:build linux

package stack

import (
	"net/netip"
	"sync"
	"sync/atomic"

	"syntap/stack/budget"
)

// halfOpen counts the handshakes of all shards that wait for their client.
type halfOpen struct {
	mu       sync.Mutex           // guards bySource; taken with Stack.mu held
	bySource map[netip.Prefix]int // see budget.SourcesOf
}

// halfOpenFull returns the drop counter of the limit on half-open handshakes that is reached; nil
// if there is room for one more. mu is held.
func (s *Stack) halfOpenFull(client netip.Addr, isLocal bool) *atomic.Uint64 {
	s.waiting.mu.Lock()
	defer s.waiting.mu.Unlock()
	if s.stats.HalfOpen.Load() >= int64(s.o.HalfOpen) {
		return &s.stats.DropHalfOpen
	}
	sources, n := budget.SourcesOf(client, isLocal) // a /64 has twice the limit of an address
	for i, source := range sources[:n] {
		if s.waiting.bySource[source] >= (i+1)*s.o.HalfOpenPerSource {
			return &s.stats.DropHalfOpenPerSource
		}
	}
	return nil
}

// countHalfOpen takes one of the free places of half-open handshakes, or gives it back. mu is held.
func (s *Stack) countHalfOpen(c *conn, delta int) {
	s.waiting.mu.Lock()
	defer s.waiting.mu.Unlock()
	s.stats.HalfOpen.Add(int64(delta))
	sources, n := budget.SourcesOf(c.key.client.Addr(), c.isLocal)
	for _, source := range sources[:n] {
		if s.waiting.bySource[source] += delta; s.waiting.bySource[source] == 0 {
			delete(s.waiting.bySource, source)
		}
	}
}
