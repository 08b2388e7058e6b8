package packet_test

import (
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"syntap/tun/packet"
	"syntap/tun/tuntest"
)

// FuzzParse gives any bytes to the parser. What it says of a packet without a problem is inside the
// packet, and is the same as gopacket's layers say.
func FuzzParse(f *testing.F) {
	for _, b := range [][]byte{
		syn4().Packet(), syn6().Packet(), udp(client4, server4), udp(client6, server6),
		behind(syn6().Packet(), hopByHop, destOptions, routing, atomic), behind(udp(client6, server6), hopByHop),
		behind(syn6().Packet(), firstPiece), behind(syn6().Packet(), laterPiece), behind(syn6().Packet(), auth),
		tuntest.ICMP{Src: client4.Addr(), Dst: server4.Addr(), Type: 3, Payload: syn4().Packet()}.Packet(),
		tuntest.IP{Fragment: 0x2000, Options: []byte{1, 1, 1, 0}}.Packet(client4.Addr(), server4.Addr(), 6, make([]byte, 40)),
	} {
		f.Add(b, uint8(0), uint8(0))
	}
	f.Fuzz(func(t *testing.T, b []byte, cut, behind uint8) {
		if len(b) > 65535 {
			return
		}
		head, n := b[:len(b)-min(len(b), int(cut))], len(b)+int(behind)
		var h packet.Headers
		h.Parse(head, n)
		checkInside(t, &h, head, n)
		if _, _, quote, ok := h.ICMPErrorOf(head); ok {
			var quoted packet.Headers
			quoted.Parse(quote, packet.AnyLength)
			checkInside(t, &quoted, quote, packet.AnyLength)
		}
		if len(head) == n && h.Problem == packet.NoProblem && h.Upper {
			_ = h.ChecksumOK(b, nil)
			compare(t, &h, b)
		}
	})
}

// checkInside fails if headers say of a packet of n bytes what cannot be.
func checkInside(t *testing.T, h *packet.Headers, head []byte, n int) {
	t.Helper()
	switch {
	case h.Problem == packet.Malformed:
	case h.Version != 4 && h.Version != 6,
		h.HeaderLen < 20, h.Offset < h.HeaderLen, h.Length < h.HeaderLen, h.Length > n,
		h.Upper && h.Problem == packet.NoProblem && h.Proto == packet.ProtoTCP && !h.TCP,
		h.Upper && h.Fragment == packet.LaterFragment:
		t.Errorf("Parse(%x, %d) = %+v", head, n, *h)
	}
	if h.TCP && h.Problem == packet.NoProblem && (h.End < h.Offset+packet.TCPHeaderLen || h.End > len(head) ||
		h.End+h.PayloadLen() != h.Length || h.Fragment == packet.FirstFragment ||
		h.Flags&packet.SYN != 0 && h.Flags&(packet.FIN|packet.RST) != 0) {
		t.Errorf("Parse(%x, %d) = %+v", head, n, *h)
	}
	if h.Version != 0 {
		src, dst := h.Ends(head)
		s, d := h.Addrs(head)
		s2, _ := netip.AddrFromSlice(s)
		if d2, _ := netip.AddrFromSlice(d); src.Addr() != s2 || dst.Addr() != d2 || src.Addr().Is4() != (h.Version == 4) {
			t.Errorf("Parse(%x): ends %v and %v, addresses %x and %x", head, src, dst, s, d)
		}
	}
}

// compare fails if gopacket reads a packet without a problem, and reads it otherwise.
func compare(t *testing.T, h *packet.Headers, b []byte) {
	t.Helper()
	first := layers.LayerTypeIPv4
	if h.Version == 6 {
		first = layers.LayerTypeIPv6
	}
	p := gopacket.NewPacket(b[:h.Length], first, gopacket.NoCopy)
	if p.ErrorLayer() != nil || h.Fragment == packet.FirstFragment {
		return
	}
	if tcp, ok := p.Layer(layers.LayerTypeTCP).(*layers.TCP); ok && p.Layer(layers.LayerTypeICMPv4) == nil {
		flags := uint8(0)
		for i, set := range []bool{tcp.FIN, tcp.SYN, tcp.RST, tcp.PSH, tcp.ACK, tcp.URG, tcp.ECE, tcp.CWR} {
			if set {
				flags |= 1 << i
			}
		}
		if !h.TCP || h.SrcPort != uint16(tcp.SrcPort) || h.DstPort != uint16(tcp.DstPort) || h.Seq != tcp.Seq || h.Ack != tcp.Ack ||
			h.Window != tcp.Window || h.Flags != flags || h.PayloadLen() != len(tcp.Payload) {
			t.Errorf("Parse(%x) = %+v, gopacket has %+v", b, *h, tcp)
		}
	}
	if udp, ok := p.Layer(layers.LayerTypeUDP).(*layers.UDP); ok && h.Proto == packet.ProtoUDP &&
		(h.SrcPort != uint16(udp.SrcPort) || h.DstPort != uint16(udp.DstPort)) {
		t.Errorf("Parse(%x) = %+v, gopacket has %+v", b, *h, udp)
	}
	if h.TCP && p.Layer(layers.LayerTypeTCP) == nil && p.Layer(gopacket.LayerTypePayload) == nil &&
		p.Layer(layers.LayerTypeIPv6Fragment) == nil {
		t.Errorf("Parse(%x) = %+v, gopacket sees no TCP: %v", b, *h, p)
	}
}
