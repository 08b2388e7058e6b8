package tap

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"net/netip"

	"syntap/tap/tcpdump"
	"syntap/tun/flow"
)

// flowKey is a TCP flow's identity as a few machine words: two ends, called a and b.
//
// Live, a is the client. A capture has no directions: there a is the lesser of the two ends.
type flowKey struct {
	a, b  address
	ports uint32 // a's, then b's
	space uint32 // IP version, then 24 bits for the VLAN
}

// address is an IP address in host byte order; IPv4 has hi = 0.
type address struct{ hi, lo uint64 }

// direction says how the two ends of a segment become those of its flow's key.
type direction uint8

const (
	outbound  direction = iota // the sender is a
	inbound                    // the sender is b
	unordered                  // the lesser end is a
)

// ordered reports whether the source is the lesser end, by address and then port.
func ordered(src, dst address, ports uint32) bool {
	return cmp.Or(cmp.Compare(src.hi, dst.hi), cmp.Compare(src.lo, dst.lo), cmp.Compare(ports>>16, ports&0xffff)) < 0
}

// ends returns the addresses and ports of a and b.
func (k *flowKey) ends() (a, b netip.AddrPort) {
	return netip.AddrPortFrom(k.addr(k.a), uint16(k.ports>>16)), netip.AddrPortFrom(k.addr(k.b), uint16(k.ports))
}

func (k *flowKey) addr(a address) netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], a.hi)
	binary.BigEndian.PutUint64(b[8:], a.lo)
	if k.space>>24 == 4 {
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return netip.AddrFrom16(b)
}

// setVLANs makes flows of different VLANs different. A tag's priority is no part of the VLAN, and
// VLAN 0 is a tag that carries a priority only (IEEE 802.1Q §9.6).
func (k *flowKey) setVLANs(p *tcpdump.Packet) {
	var id uint32
	for _, tci := range p.VLANs {
		id = id<<12 ^ id>>12 ^ uint32(tci&0xfff)
	}
	k.space = k.space&^0xffffff | id&0xffffff
}

// newFlowKey returns the key of a handshake's flow on a live link.
func newFlowKey(k flow.Key) flowKey {
	f := flowKey{ports: uint32(k.Client.Port())<<16 | uint32(k.Server.Port()), space: 6 << 24}
	if k.Client.Addr().Is4() {
		f.space = 4 << 24
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

// hashSeed makes a hash that nobody outside can compute, so that nobody can choose flows that
// collide.
type hashSeed [4]uint64

func newHashSeed() (s hashSeed) {
	for i := range s {
		s[i] = rand.Uint64()
	}
	return s
}

// hash folds the products of the key's words, as wyhash does. Other than maphash it needs no bytes
// in a row, which costs more than the hash.
func (s *hashSeed) hash(k *flowKey) uint64 {
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
