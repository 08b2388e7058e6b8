package clientpath

import (
	"encoding/binary"

	"syntap/tun/packet"
)

// LowerMSS lowers the MSS option of a SYN or SYN-ACK to the packets that the client's path takes.
// From the client's option netstack learns how large its segments may be; from netstack's the
// client learns the same of its own. b begins with the packet and holds its headers. Other packets,
// and a SYN without the option, stay as they are.
func (p *Paths) LowerMSS(b []byte, toClient bool) {
	const eol, nop, mss = 0, 1, 2
	var h packet.Headers
	h.Parse(b, packet.AnyLength)
	if !h.TCP || h.Flags&packet.SYN == 0 || h.End > len(b) {
		return
	}
	client := h.Src(b)
	if toClient {
		client = h.Dst(b)
	}
	most := uint16(packet.MTU(p.SegmentMTU(client)).MSS(h.Version == 6))
	opts := b[h.Offset+packet.TCPHeaderLen : h.End]
	for len(opts) >= 2 && opts[0] != eol {
		if opts[0] == nop {
			opts = opts[1:]
			continue
		}
		n := int(opts[1])
		if n < 2 || n > len(opts) {
			return
		}
		if opts[0] == mss && n == 4 && binary.BigEndian.Uint16(opts[2:]) > most {
			// A SYN has been verified already; in a SYN-ACK the option is netstack's first, at an
			// even offset.
			be, sum := binary.BigEndian, b[h.Offset+packet.TCPChecksum:]
			be.PutUint16(sum, packet.UpdateChecksum(be.Uint16(sum), be.Uint16(opts[2:]), most))
			be.PutUint16(opts[2:], most)
		}
		opts = opts[n:]
	}
}
