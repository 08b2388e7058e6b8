package route

import (
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/nft"
)

// pastInterval is how often the counts of what goes past the TUN are read.
const pastInterval = 10 * time.Second

// Refused returns how many packets would have left past the TUN and were dropped, a moment ago.
func (h *Host) Refused() uint64 { return h.refused.Load() }

// past returns what has gone past the TUN since it was asked before.
func (h *Host) past() ([]Past, error) {
	if h.config.ByRules || h.config.Enforce == EnforceOff || h.nl.tables == nil {
		return nil, nil
	}
	var all []Past
	for _, set := range []string{pastSet, pastForwardedSet} {
		counts, err := h.nl.tables.Counts(h.config.tableName(), set)
		if err != nil {
			return nil, err
		}
		for _, c := range counts {
			p, ok := parsePast(set, c)
			key := set + string(c.Key)
			new := c.Packets - h.counted[key]
			if c.Packets < h.counted[key] { // the table was made again
				new = c.Packets
			}
			h.counted[key] = c.Packets
			if p.Packets = new; ok && new > 0 {
				p.Refused = h.config.Enforce == EnforceReject && !slices.Contains(h.config.Underlay.Detours, p.Interface)
				if p.Refused {
					h.refused.Add(new)
				}
				all = append(all, p)
			}
		}
	}
	return all, nil
}

// parsePast takes an element's key apart.
func parsePast(set string, c nft.Count) (Past, bool) {
	name := func(b []byte) string { return strings.TrimRight(string(b), "\x00") }
	switch {
	case set == pastSet && len(c.Key) >= 4+unix.IFNAMSIZ:
		return Past{UID: int(binary.NativeEndian.Uint32(c.Key)), Interface: name(c.Key[4 : 4+unix.IFNAMSIZ])}, true
	case set == pastForwardedSet && len(c.Key) >= 2*unix.IFNAMSIZ:
		return Past{UID: -1, From: name(c.Key[:unix.IFNAMSIZ]), Interface: name(c.Key[unix.IFNAMSIZ : 2*unix.IFNAMSIZ])}, true
	}
	return Past{}, false
}
