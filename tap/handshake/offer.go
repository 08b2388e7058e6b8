package handshake

import (
	"encoding/binary"

	"syntap/tun/packet"
)

// OptionMemory is what an Offer's pointers point to.
type OptionMemory struct {
	mss    uint16
	wscale uint8
	ts     uint32
}

// Read fills o from the SYN or SYN-ACK with the headers h, whose bytes are b; o's pointers point
// into m. Of an option that stands twice the last one counts, as in Linux and BSD; reading ends at
// the first malformed one.
func (o *Offer) Read(m *OptionMemory, h *packet.Headers, b []byte) {
	*o = Offer{Window: h.Window}
	switch h.Version {
	case 4:
		o.TTL = b[8]
		o.DF = b[6]&0x40 != 0
	case 6:
		o.TTL = b[7]
	}
	switch h.Flags & (packet.ECE | packet.CWR | packet.ACK) { // RFC 3168 §6.1.1
	case packet.ECE | packet.CWR, packet.ECE | packet.ACK:
		o.ECN = true
	}
	const eol, nop, mss, wscale, sackOK, ts = 0, 1, 2, 3, 4, 8
	opts := b[min(h.Offset+20, len(b)):min(h.End, h.Length, len(b))]
	for len(opts) > 0 {
		if opts[0] == nop {
			opts = opts[1:]
			continue
		}
		if opts[0] == eol || len(opts) < 2 || opts[1] < 2 || int(opts[1]) > len(opts) {
			return
		}
		value := opts[2:opts[1]]
		switch {
		case opts[0] == mss && len(value) == 2:
			m.mss = binary.BigEndian.Uint16(value)
			o.MSS = &m.mss
		case opts[0] == wscale && len(value) == 1:
			m.wscale = value[0]
			o.WScale = &m.wscale
		case opts[0] == sackOK && len(value) == 0:
			o.SACKOK = true
		case opts[0] == ts && len(value) == 8:
			m.ts = binary.BigEndian.Uint32(value)
			o.Timestamp = &m.ts
		}
		opts = opts[opts[1]:]
	}
}
