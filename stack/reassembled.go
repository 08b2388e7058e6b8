//go:build linux

package stack

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"syntap/tun"
)

// fromNetstack routes a packet that netstack has put together from fragments or freed from
// extension headers. It always reports that the packet is taken care of: netstack would answer by
// itself.
func (s *Stack) fromNetstack(_ gstack.TransportEndpointID, pkt *gstack.PacketBuffer) bool {
	message := gstack.PayloadSince(pkt.TransportHeader())
	defer message.Release()
	was := pkt.NetworkHeader().Slice()
	ip := ipHeader{v6: pkt.NetworkProtocolNumber == header.IPv6ProtocolNumber}
	src, dst := ip.addrs(was)
	packet := newIPPacket(ip.v6, src, dst, byte(pkt.TransportProtocolNumber), message.Size())
	as := (&frame{head: was, ip: ip}).marks()
	*ip.hopLimit(packet) = as.hopLimit
	ip.setTOS(packet, as.tos)
	if !ip.v6 {
		packet[6] = 0 // no DF: it has been fragmented
		binary.BigEndian.PutUint16(packet[10:], 0)
		binary.BigEndian.PutUint16(packet[10:], ^tun.Checksum(packet[:20], 0))
	}
	copy(packet[len(packet)-message.Size():], message.AsSlice())
	n := min(len(packet), tun.HeadSize)
	s.route(&frame{head: packet[:n], body: packet[n:], pieces: true})
	return true
}
