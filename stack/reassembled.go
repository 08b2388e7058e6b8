//go:build linux

package stack

import (
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"syntap/tun"
	"syntap/tun/packet"
)

// fromNetstack routes a packet that netstack has put together from fragments or freed from
// extension headers.
func (s *Stack) fromNetstack(pkt *gstack.PacketBuffer) {
	message := gstack.PayloadSince(pkt.TransportHeader())
	defer message.Release()
	was := pkt.NetworkHeader().Slice()
	v6 := pkt.NetworkProtocolNumber == header.IPv6ProtocolNumber
	ip := packet.IP{Proto: byte(pkt.TransportProtocolNumber)} // no DF: it has been fragmented
	if v6 {
		ip.Src = netip.AddrFrom16([16]byte(was[8:24]))
		ip.Dst = netip.AddrFrom16([16]byte(was[24:40]))
		ip.TOS, ip.HopLimit = was[0]<<4|was[1]>>4, was[7]
	} else {
		ip.Src = netip.AddrFrom4([4]byte(was[12:16]))
		ip.Dst = netip.AddrFrom4([4]byte(was[16:20]))
		ip.TOS, ip.HopLimit = was[1], was[8]
	}
	b := make([]byte, packet.HeaderLen(ip.Dst)+message.Size())
	ip.Put(b)
	copy(b[len(b)-message.Size():], message.AsSlice())
	n := min(len(b), tun.HeadSize)
	f := tun.Frame{Head: b[:n], Body: b[n:]}
	f.Parse()
	s.route(&f, true)
}
