package virtual

import (
	"encoding/binary"
	"net/netip"
)

// Pool is the addresses that can stand for names: number n of both families belongs to one name.
type Pool struct {
	V4 netip.Prefix // the zero value: names have no IPv4 address
	V6 netip.Prefix // of 64 bits; the zero value: names have no IPv6 address

	// First is the place of number 0 among the IPv4 addresses, below their count. If it is random,
	// addresses that a program has kept from another run stand for no name.
	First int
	// First6 is the interface identifier of number 0. Another one has the same effect for IPv6.
	First6 uint64

	// Reserved reports whether an IPv4 address has another meaning; nil reserves none.
	Reserved func(netip.Addr) bool
}

// size returns the count of numbers, at most 2^17 for 198.18.0.0/15.
func (p *Pool) size() int {
	const most = 17
	if !p.V4.IsValid() {
		return 1 << most
	}
	return 1 << min(most, 32-p.V4.Bits())
}

// v4 returns the IPv4 address of a number. It reports false where no name can have it.
func (p *Pool) v4(n int) (netip.Addr, bool) {
	if !p.V4.IsValid() {
		return netip.Addr{}, true
	}
	b := p.V4.Masked().Addr().As4()
	place := (p.First + n) % p.size()
	binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(b[:])+uint32(place))
	a := netip.AddrFrom4(b)
	// Some programs take an address with such an ending for that of a network, or of all its hosts.
	if b[3] == 0 || b[3] == 255 || p.Reserved != nil && p.Reserved(a) {
		return netip.Addr{}, false
	}
	return a, true
}

func (p *Pool) v6(n int) netip.Addr {
	if !p.V6.IsValid() {
		return netip.Addr{}
	}
	b := p.V6.Masked().Addr().As16()
	binary.BigEndian.PutUint64(b[8:], p.First6+uint64(n))
	return netip.AddrFrom16(b)
}

// contains reports whether an address is one of the pool, whether or not a name has it.
func (p *Pool) contains(a netip.Addr) bool {
	if a.Is4() {
		return p.V4.IsValid() && p.V4.Contains(a) && (p.Reserved == nil || !p.Reserved(a))
	}
	return p.V6.IsValid() && p.V6.Contains(a.WithZone(""))
}

// number returns the number of an address that contains accepts.
func (p *Pool) number(a netip.Addr) uint64 {
	if a.Is4() {
		b, base := a.As4(), p.V4.Masked().Addr().As4()
		place := int(binary.BigEndian.Uint32(b[:]) - binary.BigEndian.Uint32(base[:]))
		if place < p.size() {
			place = (place - p.First + p.size()) % p.size()
		}
		return uint64(place)
	}
	b := a.As16()
	return binary.BigEndian.Uint64(b[8:]) - p.First6
}
