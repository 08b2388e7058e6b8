//go:build linux

package stack

import (
	"net/netip"
	"sync/atomic"
)

// halfOpenFull returns the counter of handshakes that may not wait for their client, because too
// many do; nil if one more may. mu is held.
func (s *Stack) halfOpenFull(client netip.Addr, isLocal bool) *atomic.Uint64 {
	if s.stats.HalfOpen.Load() >= int64(s.o.HalfOpen) {
		return &s.stats.DropHalfOpen
	}
	sources, n := sourcesOf(client, isLocal)
	for i, source := range sources[:n] {
		if s.halfOpen[source] >= (i+1)*s.o.HalfOpenPerSource {
			return &s.stats.DropHalfOpenPerSource
		}
	}
	return nil
}

// sourcesOf returns the sources with which the half-open handshakes of a client count: its address,
// and the IPv6 network that one machine behind this host may have to itself, which has twice the
// limit of an address.
func sourcesOf(client netip.Addr, isLocal bool) (all [2]netip.Prefix, n int) {
	all[0] = netip.PrefixFrom(client, client.BitLen())
	if client.Is4() || isLocal {
		return all, 1
	}
	all[1], _ = client.Prefix(64) // fails for no IPv6 address
	return all, 2
}

// countHalfOpen takes a place among the half-open handshakes, which there is, or gives it back. mu
// is held.
func (s *Stack) countHalfOpen(c *conn, delta int) {
	s.stats.HalfOpen.Add(int64(delta))
	sources, n := sourcesOf(c.key.client.Addr(), c.isLocal)
	for _, source := range sources[:n] {
		if s.halfOpen[source] += delta; s.halfOpen[source] == 0 {
			delete(s.halfOpen, source)
		}
	}
}
