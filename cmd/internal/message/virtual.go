//go:build linux

package message

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

// VirtualPool are virtual addresses that mean nothing else to the command: of the benchmarking
// network, from any place on, but for those of the TUN and its gateways, and of a ULA network of
// this run (RFC 4193 §3.2.2).
type VirtualPool struct {
	First  int
	First6 uint64
	V6     netip.Prefix
}

// NewVirtualPool returns the pool for the first router of a run.
func NewVirtualPool() *VirtualPool {
	var b [16]byte
	_, _ = rand.Read(b[1:8]) // it does not fail
	b[0] = 0xfd
	first := binary.BigEndian.Uint16(b[6:])
	b[6], b[7] = 0, 0
	return &VirtualPool{First: int(first), V6: netip.PrefixFrom(netip.AddrFrom16(b), 64)}
}

// Next returns the pool for the next router: programs may have kept addresses of the one before.
func (p *VirtualPool) Next() *VirtualPool {
	const half = 1 << 16 // of the benchmarking network
	return &VirtualPool{First: (p.First + half) % (2 * half), First6: p.First6 + 1<<32, V6: p.V6}
}

// Networks returns the networks of which the addresses are.
func (p *VirtualPool) Networks() []netip.Prefix { return []netip.Prefix{benchmarks, p.V6} }

// Pool returns the pool for a router with a config.
func (p *VirtualPool) Pool(c *config.Config) virtual.Pool {
	return virtual.Pool{
		V4: benchmarks, First: p.First, First6: p.First6, V6: p.V6,
		Reserved: func(a netip.Addr) bool {
			return namespace.MayStandForNameserver(a) ||
				slices.ContainsFunc(c.TUN.Addresses, func(p netip.Prefix) bool { return p.Contains(a) })
		},
	}
}
