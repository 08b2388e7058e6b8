package route

import (
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/nft"
)

// pastInterval is the interval between two readings of the counters of traffic past the TUN.
const pastInterval = 10 * time.Second

// Refused returns the number of packets that were dropped on their way past the TUN, up to the last
// reading of the counters.
func (h *Host) Refused() uint64 { return h.refused.Load() }

// past returns the packets that went past the TUN since the last call.
func (h *Host) past() (all []Past, err error) {
	if h.config.ByRules || h.config.Enforce == EnforceOff || h.nl.tables == nil {
		return nil, nil
	}
	counted := make(map[string]uint64)
	for _, set := range []string{pastSet, pastForwardedSet, pastQueriesSet} {
		counts, err := h.nl.tables.Counts(h.config.tableName(), set)
		if err != nil {
			return nil, err
		}
		for _, c := range counts {
			key := set + string(c.Key)
			counted[key] = c.Packets
			p, ok := parsePast(set, c)
			p.Packets = c.Packets
			if before := h.counted[key]; before <= c.Packets { // else the table was made again
				p.Packets -= before
			}
			if !ok || p.Packets == 0 {
				continue
			}
			detour := slices.Contains(h.config.Underlay.Detours, p.Interface)
			p.Refused = h.config.Enforce == EnforceReject && !detour && !p.Query
			if p.Refused {
				h.refused.Add(p.Packets)
			}
			all = append(all, p)
		}
	}
	h.counted = counted
	return all, nil
}

// parsePast parses the key of an element.
func parsePast(set string, c nft.Count) (Past, bool) {
	const size = unix.IFNAMSIZ
	name := func(b []byte) string { return strings.TrimRight(string(b[:size]), "\x00") }
	switch {
	case set != pastForwardedSet && len(c.Key) >= 4+size:
		uid := int(binary.NativeEndian.Uint32(c.Key))
		return Past{UID: uid, Interface: name(c.Key[4:]), Query: set == pastQueriesSet}, true
	case set == pastForwardedSet && len(c.Key) >= 2*size:
		return Past{UID: -1, From: name(c.Key), Interface: name(c.Key[size:])}, true
	}
	return Past{}, false
}
