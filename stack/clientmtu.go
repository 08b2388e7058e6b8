//go:build linux

package stack

import (
	"encoding/binary"
	"net/netip"

	"syntap/stack/netstack"
	tunflow "syntap/tun/flow"
	"syntap/tun/packet"
)

// LowerClientMTU frees a connection whose packets are too long for the path to or from its client.
// Netstack retransmits outstanding data in packets of at most mtu bytes. If bytes of the client are
// missing, or nothing is outstanding, an ICMP error makes the client do the same. It reports
// whether the connection exists.
func (s *Stack) LowerClientMTU(k tunflow.Key, mtu int) bool {
	key := connKey{client: k.Client, server: k.Server}
	s = s.home(key)
	ep, isn := s.endpointOf(key)
	if ep == nil || isn != k.ISN {
		return false
	}
	if at, ok := netstack.ProgressOf(ep); ok && (netstack.ReceiveMemory(ep) > 0 || at.SndUna == at.SndNxt) {
		s.writeICMPError(tooBigFor(k.Client, k.Server, at.RcvNxt, s.paths.SegmentMTU(k.Client.Addr()), mtu))
	}
	netstack.LowerPathMTU(ep, mtu, packet.HeaderLen(k.Client.Addr()))
	return true
}

// tooBigFor returns the ICMP error that a router on the path sends about a client's segment of size
// bytes that begins with seq (RFC 1191 §4, RFC 4443 §3.2).
func tooBigFor(client, server netip.AddrPort, seq uint32, size, mtu int) []byte {
	be := binary.BigEndian
	ip := packet.IP{
		Src: client.Addr(), Dst: server.Addr(), Proto: packet.ProtoTCP,
		HopLimit: packet.DefaultHopLimit, DF: true,
	}
	b := make([]byte, size)
	ip.Put(b)
	b = b[:packet.HeaderLen(ip.Dst)+packet.TCPHeaderLen]
	t := b[len(b)-packet.TCPHeaderLen:]
	be.PutUint16(t[0:], client.Port())
	be.PutUint16(t[2:], server.Port())
	be.PutUint32(t[4:], seq)
	t[packet.TCPDataOffset] = packet.TCPHeaderLen / 4 << 4
	t[packet.TCPFlags] = packet.ACK
	var h packet.Headers
	h.Parse(b, packet.AnyLength)
	typ, code := uint8(packet.ICMPUnreachable), uint8(packet.ICMPFragmentationNeeded)
	if h.Version == 6 {
		typ, code = packet.ICMPv6PacketTooBig, 0
	}
	return packet.ICMPError(&h, b, server.Addr(), typ, code, uint32(mtu))
}
