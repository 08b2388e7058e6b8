//go:build linux

package stack

import (
	"encoding/binary"

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
	ip := ipHeader{v6: pkt.NetworkProtocolNumber == header.IPv6ProtocolNumber}
	src, dst := ip.addrs(was)
	b := newIPPacket(ip.v6, src, dst, byte(pkt.TransportProtocolNumber), message.Size())
	as := (&frame{head: was, ip: ip}).marks()
	*ip.hopLimit(b) = as.hopLimit
	ip.setTOS(b, as.tos)
	if !ip.v6 {
		b[6] = 0 // no DF: it has been fragmented
		binary.BigEndian.PutUint16(b[10:], 0)
		binary.BigEndian.PutUint16(b[10:], ^packet.Checksum(b[:20], 0))
	}
	copy(b[len(b)-message.Size():], message.AsSlice())
	n := min(len(b), tun.HeadSize)
	s.route(&frame{head: b[:n], body: b[n:], pieces: true})
}
