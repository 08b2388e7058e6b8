//go:build linux

package stack

import "net/netip"

// rejectTooBig tells the client the path MTU where its packet is longer and may not be fragmented
// (RFC 1191 §4, RFC 4443 §3.2).
func (s *Stack) rejectTooBig(f *frame, target netip.AddrPort) {
	mtu := s.ways.routes.MTU(target)
	if mtu == 0 || mtu > 0xffff {
		return
	}
	typ, code := byte(icmp4Unreachable), byte(icmp4FragmentationNeeded)
	if f.ip.v6 {
		typ, code = icmp6PacketTooBig, 0
	}
	_, dst := f.ip.addrs(f.head)
	s.writeICMPError(icmpErrorFor(&f.ip, f.head, dst, typ, code, uint32(mtu)))
}
