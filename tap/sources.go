package tap

import (
	"net/netip"
	"sync"

	"syntap/tap/tracker"
)

// sources counts the flows of each client, so that none has the whole table.
type sources struct {
	mu    sync.Mutex // guards flows; taken with a shard's lock held
	flows map[netip.Prefix]int
}

// local is the group of all clients on this host, which have no prefix in common.
var local netip.Prefix

// groups returns whose flows those of a client count with: its address and, of IPv6, the network
// that one machine may have to itself. Those on this host are one group.
func groups(client netip.Addr, isLocal bool) (all [2]netip.Prefix, n int) {
	if isLocal {
		return [2]netip.Prefix{local}, 1
	}
	all[0] = netip.PrefixFrom(client, client.BitLen())
	if client.Is4() {
		return all, 1
	}
	all[1], _ = client.Prefix(64) // fails for no IPv6 address
	return all, 2
}

// counted counts a flow in (1) or out (-1), for tracker.Options.Counted.
func (s *sources) counted(e *tracker.Entry, delta int) {
	all, n := groups(e.Client().Addr(), e.Hold.Local)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range all[:n] {
		if s.flows[g] += delta; s.flows[g] == 0 {
			delete(s.flows, g)
		}
	}
}

// full reports whether a client may have no more flows: of a table of total, those on this host
// leave an eighth to others, and an IPv6 network has twice the limit of an address.
func (s *sources) full(client netip.Addr, isLocal bool, total, perSource int) bool {
	limits := [2]int{perSource, 2 * perSource}
	if isLocal {
		limits[0] = total - total/8
	}
	all, n := groups(client, isLocal)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, g := range all[:n] {
		if s.flows[g] >= limits[i] {
			return true
		}
	}
	return false
}
