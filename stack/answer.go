//go:build linux

package stack

import (
	"encoding/binary"
	"syscall"

	"golang.org/x/sys/unix"

	"syntap/tun"
	tunflow "syntap/tun/flow"
	"syntap/tun/packet"
)

// answer sends the client the result of its dial, in a packet from the address that it asked for.
func (s *Stack) answer(syn []byte, a tunflow.Answer, errno syscall.Errno) {
	var h packet.Headers
	if h.Parse(syn, len(syn)); !h.TCP {
		return
	}
	switch {
	case a == tunflow.Refused:
		s.writeInbound(tun.Offload{}, resetFor(&h, syn))
	case a == tunflow.Denied, errno == unix.EACCES:
		s.unreachable(&h, syn, packet.ICMPProhibited, packet.ICMPv6Prohibited)
	case errno == unix.ENETUNREACH:
		s.unreachable(&h, syn, packet.ICMPNetUnreachable, packet.ICMPv6NoRoute)
	default:
		s.unreachable(&h, syn, packet.ICMPHostUnreachable, packet.ICMPv6AddressUnreachable)
	}
}

// unreachable answers a SYN with the ICMP error destination unreachable from its destination, with
// one code of ICMP and one of ICMPv6.
func (s *Stack) unreachable(h *packet.Headers, syn []byte, code4, code6 uint8) {
	typ, code := uint8(packet.ICMPUnreachable), code4
	if h.Version == 6 {
		typ, code = packet.ICMPv6Unreachable, code6
	}
	s.writeICMPError(packet.ICMPError(h, syn, h.Dst(syn), typ, code, 0))
}

// writeInbound sends a packet of the router's own to the client.
func (s *Stack) writeInbound(off tun.Offload, bufs ...[]byte) {
	if err := s.link.WriteFrame(off, bufs); err != nil {
		s.stats.InboundErrors.Add(1)
	}
}

// writeICMPError sends an ICMP error to a client, within a rate (RFC 1812 §4.3.2.8,
// RFC 4443 §2.4 (f)).
func (s *Stack) writeICMPError(b []byte) {
	if s.shards[0].net.AllowICMPMessage() { // one rate for all
		s.writeInbound(tun.Offload{}, b)
	}
}

// resetFor returns the RST that answers a SYN to a closed port: <SEQ=0><ACK=SEG.SEQ+SEG.LEN>
// (RFC 9293 §3.10.7.1).
func resetFor(h *packet.Headers, syn []byte) []byte {
	be := binary.BigEndian
	ip := packet.IP{
		Src: h.Dst(syn), Dst: h.Src(syn), Proto: packet.ProtoTCP,
		HopLimit: packet.DefaultHopLimit, DF: true,
	}
	b := make([]byte, packet.HeaderLen(ip.Dst)+packet.TCPHeaderLen)
	ip.Put(b)
	t := b[len(b)-packet.TCPHeaderLen:]
	be.PutUint16(t[0:], h.DstPort)
	be.PutUint16(t[2:], h.SrcPort)
	be.PutUint32(t[8:], h.Seq+1+uint32(h.PayloadLen()))
	t[packet.TCPDataOffset] = packet.TCPHeaderLen / 4 << 4
	t[packet.TCPFlags] = packet.RST | packet.ACK
	sum := packet.TransportChecksum(packet.ProtoTCP, ip.Src, ip.Dst, t)
	be.PutUint16(t[packet.TCPChecksum:], sum)
	return b
}
