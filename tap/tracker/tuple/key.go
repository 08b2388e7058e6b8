package tuple

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"net/netip"

	"syntap/tun/flow"
)

// Key identifies a TCP flow by a few machine words: its two ends, called a and b. See
// [Packet.Locate] and [Packet.LocateCaptured] for which end is a.
type Key struct {
	a, b  address
	ports uint32 // a's, then b's
	space uint32 // IP version
}

// address is an IP address in host byte order; IPv4 has hi = 0.
type address struct{ hi, lo uint64 }

// ordered reports whether the source is the lesser end, by address and then port.
func ordered(src, dst address, ports uint32) bool {
	return cmp.Or(cmp.Compare(src.hi, dst.hi), cmp.Compare(src.lo, dst.lo),
		cmp.Compare(ports>>16, ports&0xffff)) < 0
}

// Ends returns the addresses and ports of a and b.
func (k *Key) Ends() (a, b netip.AddrPort) {
	return netip.AddrPortFrom(k.addr(k.a), uint16(k.ports>>16)),
		netip.AddrPortFrom(k.addr(k.b), uint16(k.ports))
}

func (k *Key) addr(a address) netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], a.hi)
	binary.BigEndian.PutUint64(b[8:], a.lo)
	if k.space == 4 {
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return netip.AddrFrom16(b)
}

// newKey returns the key of a handshake's flow on a live link.
func newKey(k flow.Key) Key {
	f := Key{ports: uint32(k.Client.Port())<<16 | uint32(k.Server.Port()), space: 6}
	if k.Client.Addr().Is4() {
		f.space = 4
	}
	f.a, f.b = toAddress(k.Client.Addr()), toAddress(k.Server.Addr())
	return f
}

func toAddress(a netip.Addr) address {
	if a.Is4() {
		b := a.As4()
		return address{0, uint64(binary.BigEndian.Uint32(b[:]))}
	}
	b := a.As16()
	return address{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

// Seed makes a hash that peers cannot compute, so that they cannot choose flows that collide.
type Seed [4]uint64

// NewSeed returns a random seed.
func NewSeed() (s Seed) {
	for i := range s {
		s[i] = rand.Uint64()
	}
	return s
}

// Hash folds the products of the key's words, as wyhash does. Unlike maphash it needs no contiguous
// bytes; building those costs more than the hash itself.
func (s *Seed) Hash(k *Key) uint64 {
	h := mix(k.a.lo^s[0], k.b.lo^s[1])
	if k.a.hi|k.b.hi != 0 {
		h ^= mix(k.a.hi^s[2], k.b.hi^s[3])
	}
	return mix(h^s[2], uint64(k.ports)<<32^uint64(k.space)^s[3])
}

func mix(x, y uint64) uint64 {
	hi, lo := bits.Mul64(x, y)
	return hi ^ lo
}
