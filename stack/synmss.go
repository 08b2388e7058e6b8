//go:build linux

package stack

import (
	"encoding/binary"

	"syntap/tun"
	"syntap/tun/packet"
)

// lowerMSS has the MSS option of a SYN or SYN-ACK keep to the packets that the client's path takes:
// in what the client has sent, netstack reads how large its segments may be, in what it gets, the
// client reads the same of its own. b begins with the packet and holds its headers. Other packets,
// and a SYN without the option, it leaves alone.
func (p *clientPaths) lowerMSS(b []byte, toClient bool) {
	const eol, nop, mss = 0, 1, 2
	var ip ipHeader
	if !ip.parse(b, tun.MaxFrame) || ip.proto != protoTCP || len(b) < ip.len+20 || b[ip.len+tcpFlagsAt]&tcpSYN == 0 {
		return
	}
	client := ip.srcAddr(b)
	if toClient {
		client = ip.dstAddr(b)
	}
	most := uint16(p.segmentMTU(client) - ip.len - 20)
	t := b[ip.len:]
	opts := t[20:max(20, min(int(t[12]>>4)*4, len(t)))]
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
			sum := t[16:]
			binary.BigEndian.PutUint16(sum, packet.UpdateChecksum(binary.BigEndian.Uint16(sum), binary.BigEndian.Uint16(opts[2:]), most))
			binary.BigEndian.PutUint16(opts[2:], most)
		}
		opts = opts[n:]
	}
}
