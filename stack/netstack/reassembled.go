//go:build linux

package netstack

import (
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"syntap/tun/packet"
)

// HandleOthers sets the function that gets each UDP or ICMP packet, reassembled and without
// extension headers. Netstack itself answers none.
func (s *Stack) HandleOthers(handle func(b []byte)) {
	for _, p := range []tcpip.TransportProtocolNumber{udp.ProtocolNumber, icmp.ProtocolNumber4, icmp.ProtocolNumber6} {
		s.SetTransportProtocolHandler(p, func(_ gstack.TransportEndpointID, pkt *gstack.PacketBuffer) bool {
			handle(reassembled(pkt))
			return true
		})
	}
}

// reassembled returns a packet with a plain IP header.
func reassembled(pkt *gstack.PacketBuffer) []byte {
	message := gstack.PayloadSince(pkt.TransportHeader())
	defer message.Release()
	was := pkt.NetworkHeader().Slice()
	ip := packet.IP{Proto: byte(pkt.TransportProtocolNumber)} // no DF: it has been fragmented
	if pkt.NetworkProtocolNumber == header.IPv6ProtocolNumber {
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
	return b
}
