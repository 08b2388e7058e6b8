package route

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"syntap/tun/nft"
)

// Names of the sets that packets fill, and the most elements of each.
const (
	pastSet          = "past"
	pastForwardedSet = "past_forwarded"
	pastQueriesSet   = "past_queries"
	maxPast          = 1024

	askers4, askers6 = "askers4", "askers6"
	maxAskers        = 1024

	maxZonePairs = 1 << 16
)

// askerTimeout is how long an answer to a group or a broadcast stays outside. A device may wait for
// some seconds before it answers, 5 by UPnP Device Architecture 2.0 §1.3.3.
const askerTimeout = 30 * time.Second

// zoneTimeout is how long the zone of two addresses is known that exchange no packets: as long as
// connection tracking keeps an idle connection (nf_conntrack_tcp_timeout_established).
const zoneTimeout = 5 * 24 * time.Hour

// steeringSets returns the sets of the steering table.
func steeringSets(c Config) []nft.Set {
	in, out := included(c), throws(c)
	addresses := func(name string, in, out []netip.Prefix) []nft.Set {
		all4, all6 := addressElements(in, out, true), addressElements(in, out, false)
		return []nft.Set{
			{Name: name + "4", Type: nft.IPv4Addr, Interval: true, Elements: all4},
			{Name: name + "6", Type: nft.IPv6Addr, Interval: true, Elements: all6},
		}
	}
	uplinks := uplinkElements(c.Underlay.Uplinks)
	past := func(name string) nft.Set {
		return nft.Set{Name: name, Type: nft.Concat(nft.UID, nft.InterfaceName), Size: maxPast}
	}
	sets := addresses("enter", in, out)
	sets = append(sets, addresses("sources", c.Sources, nil)...)
	sets = append(sets,
		nft.Set{Name: "uplinks", Type: nft.InterfaceIndex, Elements: uplinks},
		nft.Set{Name: "users", Type: nft.UID, Interval: true, Elements: uidElements(c)},
		flowSet("open4", nft.IPv4Addr, c.open, netip.Addr.Is4),
		flowSet("open6", nft.IPv6Addr, c.open, netip.Addr.Is6))
	sets = append(sets, addresses("resolvers", hosts(c.Underlay.Resolvers), nil)...)
	asker := func(name string, addr nft.Type) nft.Set {
		return nft.Set{Name: name, Type: nft.Concat(addr, nft.Port, nft.Port), Size: maxAskers, Timeout: askerTimeout}
	}
	for _, zone := range c.Underlay.Zones {
		pairs := func(f zoneFamily) nft.Set {
			return nft.Set{Name: f.set(zone), Type: nft.Concat(f.addr, f.addr), Size: maxZonePairs, Timeout: zoneTimeout}
		}
		sets = append(sets, pairs(zoneFamilies[0]), pairs(zoneFamilies[1]))
	}
	return append(sets, asker(askers4, nft.IPv4Addr), asker(askers6, nft.IPv6Addr),
		past(pastSet), past(pastQueriesSet),
		nft.Set{
			Name: pastForwardedSet,
			Type: nft.Concat(nft.InterfaceName, nft.InterfaceName), Size: maxPast,
		})
}

func hosts(addrs []netip.Addr) (all []netip.Prefix) {
	for _, a := range addrs {
		a = a.WithZone("")
		all = append(all, netip.PrefixFrom(a, a.BitLen()))
	}
	return all
}

// addressElements returns the addresses of one family that are in, by their longest prefix.
func addressElements(in, out []netip.Prefix, is4 bool) (all []nft.Range) {
	for _, r := range enteringRanges(in, out, is4) {
		text := r.first.String()
		if r.last != r.first {
			text += "-" + r.last.String()
		}
		all = append(all, nft.Range{First: r.first.AsSlice(), Last: r.last.AsSlice(), Text: text})
	}
	return all
}

func uplinkElements(uplinks []Uplink) (all []nft.Range) {
	for _, u := range uplinks {
		index := binary.NativeEndian.AppendUint32(nil, uint32(u.Index))
		all = append(all, nft.Range{First: index, Text: fmt.Sprintf("%q", u.Name)})
	}
	return all
}

// uidElements returns the users whose traffic enters, none if all users' does.
func uidElements(c Config) (all []nft.Range) {
	uids := enteringUIDs(c.IncludeUIDs, c.ExcludeUIDs)
	if allUIDs(uids) {
		return nil
	}
	for _, u := range uids {
		all = append(all, nft.Range{
			First: binary.BigEndian.AppendUint32(nil, u.First),
			Last:  binary.BigEndian.AppendUint32(nil, u.Last),
			Text:  fmt.Sprintf("%d-%d", u.First, u.Last),
		})
	}
	return all
}

// flowSet returns the set of the flows of one family.
func flowSet(name string, addr nft.Type, flows []flow, is func(netip.Addr) bool) nft.Set {
	s := nft.Set{Name: name, Type: nft.Concat(addr, nft.Port, addr, nft.Port)}
	for _, f := range flows {
		if is(f[0].Addr()) {
			s.Elements = append(s.Elements, flowElement(f))
		}
	}
	return s
}

// flowElement returns an element of the type address, port, address, port. Each field fills words
// of four bytes.
func flowElement(f flow) nft.Range {
	var key []byte
	var texts []string
	for _, end := range f {
		key = append(key, end.Addr().AsSlice()...)
		key = binary.BigEndian.AppendUint16(key, end.Port())
		key = append(key, 0, 0)
		texts = append(texts, end.Addr().String(), fmt.Sprint(end.Port()))
	}
	return nft.Range{First: key, Text: strings.Join(texts, " . ")}
}
