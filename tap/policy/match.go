package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"syntap/tun/packet"
)

// Indexes of the lists that a matcher keeps for each family.
const (
	ipv4 = iota
	ipv6
	families
)

func familyOf(a netip.Addr) int {
	if a.Is4() {
		return ipv4
	}
	return ipv6
}

// matcher is a compiled Match. An empty list of a Match, which means any address, is compiled to
// all addresses of each family, so that matching and comparing have no special cases.
type matcher struct {
	src, dst  [families][]netip.Prefix // an empty list: no packet of that family matches
	ports     []packet.PortRange       // sorted, with gaps between them; none = any
	direction packet.Direction
}

func compileMatch(m Match) (matcher, error) {
	if m.Family != 0 && m.Family != 4 && m.Family != 6 {
		return matcher{}, fmt.Errorf("family %d is neither 4 nor 6", m.Family)
	}
	if m.Direction&^packet.Both != 0 {
		return matcher{}, fmt.Errorf("direction %d is unknown", m.Direction)
	}
	c := matcher{src: byFamily(m.Src), dst: byFamily(m.Dst), direction: m.Direction}
	if c.direction == 0 {
		c.direction = packet.Both
	}
	switch m.Family {
	case 4:
		c.exclude(ipv6)
	case 6:
		c.exclude(ipv4)
	}
	if !c.has(ipv4) && !c.has(ipv6) {
		return matcher{}, errors.New("src, dst and family exclude each other")
	}
	for _, r := range m.Ports {
		if r.First > r.Last {
			return matcher{}, fmt.Errorf("ports %d-%d end before they begin", r.First, r.Last)
		}
	}
	c.ports = mergePorts(m.Ports)
	return c, nil
}

// Families reports whether m can match packets of IPv4 and of IPv6.
func (m Match) Families() (v4, v6 bool) {
	c, err := compileMatch(m)
	return err == nil && c.has(ipv4), err == nil && c.has(ipv6)
}

func byFamily(prefixes []netip.Prefix) (lists [families][]netip.Prefix) {
	if len(prefixes) == 0 {
		prefixes = []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)}
	}
	for _, p := range prefixes {
		f := familyOf(p.Addr())
		lists[f] = append(lists[f], p)
	}
	return lists
}

// mergePorts sorts ranges and joins those that touch.
func mergePorts(ranges []packet.PortRange) []packet.PortRange {
	sorted := slices.SortedFunc(slices.Values(ranges), func(a, b packet.PortRange) int { return int(a.First) - int(b.First) })
	merged := sorted[:0]
	for _, r := range sorted {
		if last := len(merged) - 1; last >= 0 && int(r.First) <= int(merged[last].Last)+1 {
			merged[last].Last = max(merged[last].Last, r.Last)
		} else {
			merged = append(merged, r)
		}
	}
	return merged
}

// exclude makes m match no packet of the family.
func (m *matcher) exclude(family int) { m.src[family], m.dst[family] = nil, nil }

// has reports whether m can match packets of the family.
func (m *matcher) has(family int) bool { return len(m.src[family]) > 0 && len(m.dst[family]) > 0 }

// matches reports whether m is for packets that go in direction d between client and server. Port 0
// stands for no port.
func (m *matcher) matches(client, server netip.AddrPort, d packet.Direction) bool {
	f := familyOf(client.Addr())
	port := packet.PortRange{First: server.Port(), Last: server.Port()}
	return m.direction&d != 0 && coversPorts(m.ports, port) &&
		contains(m.src[f], client.Addr()) && contains(m.dst[f], server.Addr())
}

// covers reports whether m matches every packet that o matches.
func (m *matcher) covers(o *matcher) bool {
	if o.direction&^m.direction != 0 || len(m.ports) > 0 && len(o.ports) == 0 {
		return false
	}
	for _, r := range o.ports {
		if !coversPorts(m.ports, r) {
			return false
		}
	}
	for f := range families {
		if o.has(f) && !(coversAll(m.src[f], o.src[f]) && coversAll(m.dst[f], o.dst[f])) {
			return false
		}
	}
	return true
}

func coversPorts(ranges []packet.PortRange, r packet.PortRange) bool {
	if len(ranges) == 0 {
		return true
	}
	for _, c := range ranges {
		if c.Contains(r) {
			return true
		}
	}
	return false
}

func contains(prefixes []netip.Prefix, a netip.Addr) bool {
	for _, p := range prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// coversAll reports whether each of the inner prefixes lies in one of the outer ones.
func coversAll(outer, inner []netip.Prefix) bool {
	for _, p := range inner {
		covers := func(o netip.Prefix) bool { return o.Bits() <= p.Bits() && o.Contains(p.Addr()) }
		if !slices.ContainsFunc(outer, covers) {
			return false
		}
	}
	return true
}
