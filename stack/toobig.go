//go:build linux

package stack

import (
	"encoding/binary"
	"net/netip"

	"syntap/tun"
)

// rejectTooBig tells the client the path MTU where its packet is longer and Options.DF forbids to fragment it (RFC
// 1191 §4).
func (s *Stack) rejectTooBig(f *frame, target netip.AddrPort) {
	mtu := s.dialer.RouteMTU(target)
	if f.ip.v6 || mtu == 0 || mtu > 0xffff {
		return
	}
	packet := unreachableFor(&f.ip, f.head, reason{v4: icmp4FragmentationNeeded})
	message := packet[ipHeaderLen(f.ip.dstAddr(f.head)):]
	binary.BigEndian.PutUint16(message[6:], uint16(mtu))
	sum := binary.BigEndian.Uint16(message[2:])
	binary.BigEndian.PutUint16(message[2:], tun.UpdateChecksum(sum, 0, uint16(mtu)))
	s.writeICMPError(packet)
}
