package packet_test

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"syntap/tun/packet"
	"syntap/tun/tuntest"
)

var addr = netip.MustParseAddr

var (
	client4, server4 = netip.MustParseAddrPort("192.0.2.1:40000"), netip.MustParseAddrPort("198.51.100.2:443")
	client6, server6 = netip.MustParseAddrPort("[2001:db8::1]:40000"), netip.MustParseAddrPort("[2001:db8::2]:443")
)

// Extension headers for behind, their first byte still that of their own protocol.
var (
	hopByHop    = []byte{packet.ProtoHopByHop, 0, 1, 4, 0, 0, 0, 0}
	destOptions = []byte{packet.ProtoDestOpts, 0, 1, 4, 0, 0, 0, 0}
	routing     = []byte{packet.ProtoRouting, 0, 4, 0, 0, 0, 0, 0}
	routingLeft = []byte{packet.ProtoRouting, 0, 4, 1, 0, 0, 0, 0}
	auth        = []byte{packet.ProtoAH, 1, 11: 0}
	experiment  = []byte{packet.ProtoExperiment, 0, 0, 0, 0, 0, 0, 0}
	atomic      = []byte{packet.ProtoFragment, 0, 0, 0, 0, 0, 0, 1}
	firstPiece  = []byte{packet.ProtoFragment, 0, 0, 1, 0, 0, 0, 1}
	laterPiece  = []byte{packet.ProtoFragment, 0, 0, 8, 0, 0, 0, 1}
	fatalOption = []byte{packet.ProtoDestOpts, 0, 0x5e, 4, 0, 0, 0, 0}
	lyingOption = []byte{packet.ProtoDestOpts, 0, 1, 5, 0, 0, 0, 0}
	longOptions = append([]byte{packet.ProtoDestOpts, 16}, make([]byte, 134)...)
)

// behind puts extension headers between an IPv6 header and its upper layer.
func behind(b []byte, headers ...[]byte) []byte {
	chain := slices.Concat(headers...)
	next, at := &b[6], 0
	upper := *next
	for _, h := range headers {
		*next = h[0]
		next = &chain[at]
		at += len(h)
	}
	*next = upper
	binary.BigEndian.PutUint16(b[4:], uint16(len(b)-packet.IPv6HeaderLen+len(chain)))
	return slices.Insert(b, packet.IPv6HeaderLen, chain...)
}

func syn4() tuntest.TCP {
	return tuntest.TCP{Src: client4, Dst: server4, Seq: 1000, Ack: 7, Flags: packet.SYN, Window: 64240, Payload: []byte("data")}
}

func syn6() tuntest.TCP {
	s := syn4()
	s.Src, s.Dst = client6, server6
	return s
}

func udp(src, dst netip.AddrPort) []byte {
	return tuntest.UDP{Src: src, Dst: dst, Payload: []byte("data")}.Packet()
}

// edit returns b with one byte changed.
func edit(b []byte, at int, v byte) []byte {
	b = slices.Clone(b)
	b[at] = v
	return b
}

func TestParse(t *testing.T) {
	t.Parallel()
	tcp4 := packet.Headers{
		Version: 4, Next: 6, Proto: 6, Upper: true, TCP: true, Flags: packet.SYN, SrcPort: 40000, DstPort: 443,
		Window: 64240, Seq: 1000, Ack: 7, HeaderLen: 20, Offset: 20, Length: 44, End: 40,
	}
	tcp6 := tcp4
	tcp6.Version, tcp6.HeaderLen, tcp6.Offset, tcp6.Length, tcp6.End = 6, 40, 40, 64, 60
	with := func(h packet.Headers, change func(*packet.Headers)) packet.Headers {
		change(&h)
		return h
	}
	// extended is tcp6 behind n bytes of extension headers, of which first is the first.
	extended := func(n int, first uint8, f packet.Fragment, p packet.Problem) packet.Headers {
		return with(tcp6, func(h *packet.Headers) {
			h.Next, h.Fragment, h.Problem = first, f, p
			h.Offset, h.Length, h.End = h.Offset+n, h.Length+n, h.End+n
		})
	}
	// notTCP is h, whose TCP header cannot be read.
	notTCP := func(h packet.Headers, p packet.Problem) packet.Headers {
		return with(h, func(h *packet.Headers) {
			h.TCP, h.Flags, h.Window, h.Ack, h.End, h.Problem = false, 0, 0, 0, 0, p
		})
	}
	fragment := func(bits uint16, payload []byte) []byte {
		return tuntest.IP{Fragment: bits}.Packet(client4.Addr(), server4.Addr(), 6, payload)
	}
	plain4, plain6 := syn4().Packet(), syn6().Packet()
	tests := []struct {
		name string
		b    []byte
		cut  int // bytes of the packet that are not in head
		want packet.Headers
	}{
		{"TCP", plain4, 0, tcp4},
		{"TCP over IPv6", plain6, 0, tcp6},
		{"TCP with IP options", func() []byte {
			s := syn4()
			s.IP.Options = []byte{1, 1, 1, 0}
			return s.Packet()
		}(), 0, with(tcp4, func(h *packet.Headers) { h.HeaderLen, h.Offset, h.Length, h.End = 24, 24, 48, 44 })},
		{"bytes behind the end", append(slices.Clone(plain4), 1, 2, 3), 0, tcp4},
		{"UDP", udp(client4, server4), 0, packet.Headers{
			Version: 4, Next: 17, Proto: 17, Upper: true, SrcPort: 40000, DstPort: 443, HeaderLen: 20, Offset: 20, Length: 32,
		}},
		{"UDP behind AH", behind(udp(client6, server6), auth), 0, packet.Headers{
			Version: 6, Next: 51, Proto: 17, Upper: true, SrcPort: 40000, DstPort: 443, HeaderLen: 40, Offset: 52, Length: 64,
		}},
		{"ICMPv6", tuntest.ICMP{Src: client6.Addr(), Dst: server6.Addr(), Type: 128}.Packet(), 0, packet.Headers{
			Version: 6, Next: 58, Proto: 58, Upper: true, HeaderLen: 40, Offset: 40, Length: 48,
		}},

		{"nothing", nil, 0, packet.Headers{Problem: packet.Malformed}},
		{"version 5", edit(plain4, 0, 0x55), 0, packet.Headers{Problem: packet.Malformed}},
		{"19 bytes", plain4[:19], 0, packet.Headers{Problem: packet.Malformed}},
		{"39 bytes of IPv6", plain6[:39], 0, packet.Headers{Problem: packet.Malformed}},
		{"IPv4 header of 16 bytes", edit(plain4, 0, 0x44), 0, packet.Headers{
			Version: 4, Next: 6, Proto: 6, HeaderLen: 16, Offset: 16, Length: 44, Problem: packet.Malformed,
		}},
		{"longer than the frame", edit(plain4, 3, 45), 0, with(tcp4, func(h *packet.Headers) {
			h.Length, h.Problem = 45, packet.Malformed
		})},
		{"longer than the frame, IPv6", edit(plain6, 5, 25), 0, with(tcp6, func(h *packet.Headers) {
			h.Length, h.Problem = 65, packet.Malformed
		})},
		{"total length 0, as captured before segmentation", edit(plain4, 3, 0), 0, with(tcp4, func(h *packet.Headers) {
			h.Problem = packet.Malformed
		})},
		{"payload length 0", edit(plain6, 5, 0), 0, with(tcp6, func(h *packet.Headers) { h.Problem = packet.Malformed })},
		{"no TCP header", edit(plain4, 3, 39), 0, notTCP(with(tcp4, func(h *packet.Headers) { h.Length = 39 }), packet.Malformed)},
		{"data offset 4", edit(plain4, 32, 4<<4), 0, notTCP(tcp4, packet.Malformed)},
		{"data offset beyond the end", edit(plain4, 32, 15<<4), 0, with(tcp4, func(h *packet.Headers) {
			h.End, h.Problem = 80, packet.Malformed
		})},
		{"SYN with FIN", edit(plain4, 33, packet.SYN|packet.FIN), 0, with(tcp4, func(h *packet.Headers) {
			h.Flags, h.Problem = packet.SYN|packet.FIN, packet.SYNFlags
		})},
		{"SYN with RST", edit(plain4, 33, packet.SYN|packet.RST), 0, with(tcp4, func(h *packet.Headers) {
			h.Flags, h.Problem = packet.SYN|packet.RST, packet.SYNFlags
		})},

		{"first fragment", fragment(0x2000, plain4[20:]), 0, with(tcp4, func(h *packet.Headers) {
			h.Fragment, h.Problem = packet.FirstFragment, packet.TCPFragment
		})},
		{"first fragment of 8 bytes", fragment(0x2000, plain4[20:28]), 0, notTCP(with(tcp4, func(h *packet.Headers) {
			h.Fragment, h.Length = packet.FirstFragment, 28
		}), packet.TCPFragment)},
		{"later fragment", fragment(3, plain4[28:]), 0, packet.Headers{
			Version: 4, Next: 6, Proto: 6, Fragment: packet.LaterFragment, Problem: packet.TCPFragment,
			HeaderLen: 20, Offset: 20, Length: 36,
		}},
		{"later fragment of UDP", tuntest.IP{Fragment: 3}.Packet(client4.Addr(), server4.Addr(), 17, []byte("data")), 0, packet.Headers{
			Version: 4, Next: 17, Proto: 17, Fragment: packet.LaterFragment, HeaderLen: 20, Offset: 20, Length: 24,
		}},

		{
			"extension headers", behind(syn6().Packet(), hopByHop, destOptions, routing), 0,
			extended(24, packet.ProtoHopByHop, packet.Whole, packet.NoProblem),
		},
		{
			"atomic fragment", behind(syn6().Packet(), atomic), 0,
			extended(8, packet.ProtoFragment, packet.AtomicFragment, packet.NoProblem),
		},
		{
			"first fragment, IPv6", behind(syn6().Packet(), firstPiece), 0,
			extended(8, packet.ProtoFragment, packet.FirstFragment, packet.TCPFragment),
		},
		{"later fragment, IPv6", behind(syn6().Packet(), laterPiece), 0, packet.Headers{
			Version: 6, Next: packet.ProtoFragment, Proto: packet.ProtoFragment, Fragment: packet.LaterFragment,
			Problem: packet.TCPFragment, HeaderLen: 40, Offset: 40, Length: 72,
		}},
		{"later fragment of options", behind(syn6().Packet(), laterPiece, destOptions), 0, packet.Headers{
			Version: 6, Next: packet.ProtoFragment, Proto: packet.ProtoFragment, Fragment: packet.LaterFragment,
			Problem: packet.TCPFragment, HeaderLen: 40, Offset: 40, Length: 80,
		}},
		{
			"hop-by-hop options in second place", behind(syn6().Packet(), destOptions, hopByHop), 0,
			extended(16, packet.ProtoDestOpts, packet.Whole, packet.ExtensionHeaders),
		},
		{
			"segments left", behind(syn6().Packet(), routingLeft), 0,
			extended(8, packet.ProtoRouting, packet.Whole, packet.ExtensionHeaders),
		},
		{
			"option that must be known", behind(syn6().Packet(), fatalOption), 0,
			extended(8, packet.ProtoDestOpts, packet.Whole, packet.ExtensionHeaders),
		},
		{
			"option beyond its header", behind(syn6().Packet(), lyingOption), 0,
			extended(8, packet.ProtoDestOpts, packet.Whole, packet.ExtensionHeaders),
		},
		{"AH", behind(syn6().Packet(), auth), 0, extended(12, packet.ProtoAH, packet.Whole, packet.ExtensionHeaders)},
		{
			"experiment", behind(syn6().Packet(), experiment), 0,
			extended(8, packet.ProtoExperiment, packet.Whole, packet.ExtensionHeaders),
		},
		{"extension header beyond the end", behind(syn6().Packet(), edit(destOptions, 1, 9)), 0, packet.Headers{
			Version: 6, Next: packet.ProtoDestOpts, Proto: packet.ProtoTCP, Problem: packet.Malformed,
			HeaderLen: 40, Offset: 120, Length: 72,
		}},
		{"extension header behind head", behind(syn6().Packet(), hopByHop), 25, packet.Headers{
			Version: 6, Next: packet.ProtoHopByHop, Proto: packet.ProtoHopByHop, Problem: packet.ExtensionHeaders,
			HeaderLen: 40, Offset: 40, Length: 72,
		}},
		{"TCP header behind head", behind(syn6().Packet(), longOptions), 20, with(notTCP(
			extended(136, packet.ProtoDestOpts, packet.Whole, packet.NoProblem), packet.ExtensionHeaders),
			func(h *packet.Headers) { h.Seq = 0 })},
	}
	for _, tt := range tests {
		var got packet.Headers
		got.Parse(tt.b[:len(tt.b)-tt.cut], len(tt.b))
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: %x (-want +got):\n%s", tt.name, tt.b, diff)
		}
	}
}
