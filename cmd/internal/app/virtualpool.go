//go:build linux

package app

import (
	"crypto/rand"
	"encoding/binary"
	"net/netip"
	"slices"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/namespace"
	"syntap/stack/virtual"
)

// benchmarks is the benchmarking network (RFC 2544), which has no hosts.
var benchmarks = netip.MustParsePrefix("198.18.0.0/15")

// virtualPool are virtual addresses that mean nothing else to the command: of the benchmarking
// network, from any place on, but for those of the TUN and its gateways, and of a ULA network of
// this run (RFC 4193 §3.2.2).
type virtualPool struct {
	First  int
	First6 uint64
	V6     netip.Prefix
}

func newVirtualPool() *virtualPool {
	var b [16]byte
	_, _ = rand.Read(b[1:8]) // it does not fail
	b[0] = 0xfd
	first := binary.BigEndian.Uint16(b[6:])
	b[6], b[7] = 0, 0
	return &virtualPool{First: int(first), V6: netip.PrefixFrom(netip.AddrFrom16(b), 64)}
}

// next returns the pool for the next router: programs may have kept addresses of the one before.
func (p *virtualPool) next() *virtualPool {
	const half = 1 << 16 // of the benchmarking network
	return &virtualPool{First: (p.First + half) % (2 * half), First6: p.First6 + 1<<32, V6: p.V6}
}

func (p *virtualPool) pool(c *config.Config) virtual.Pool {
	return virtual.Pool{
		V4: benchmarks, First: p.First, First6: p.First6, V6: p.V6,
		Reserved: func(a netip.Addr) bool {
			return namespace.MayStandForNameserver(a) ||
				slices.ContainsFunc(c.TUN.Addresses, func(p netip.Prefix) bool { return p.Contains(a) })
		},
	}
}
