package packet_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"syntap/tun/packet"
	"syntap/tun/tuntest"
)

func parse(b []byte) *packet.Headers {
	h := new(packet.Headers)
	h.Parse(b, len(b))
	return h
}

func TestMSS(t *testing.T) {
	t.Parallel()
	tests := []struct {
		mtu  packet.MTU
		v6   bool
		want packet.MSS
	}{
		{1500, false, 1460}, {1500, true, 1440}, {40, false, 0}, {59, true, 0}, {0, true, 0}, {1 << 17, false, 65535},
	}
	for _, tt := range tests {
		if got := tt.mtu.MSS(tt.v6); got != tt.want {
			t.Errorf("MTU %d, IPv6 %t: MSS %d, want %d", tt.mtu, tt.v6, got, tt.want)
		}
	}
}

func TestPutIP(t *testing.T) {
	t.Parallel()
	for _, ends := range [][2]string{{"192.0.2.1", "198.51.100.2"}, {"2001:db8::1", "2001:db8::2"}} {
		src, dst := addr(ends[0]), addr(ends[1])
		want := tuntest.IP{TTL: 9, TOS: 0xb9, ID: 77, DF: true}.Packet(src, dst, packet.ProtoUDP, []byte("datagram"))
		got := bytes.Repeat([]byte{0xa5}, len(want)) // what stood there before is overwritten
		copy(got[packet.HeaderLen(dst):], "datagram")
		ip := packet.IP{Src: src, Dst: dst, Proto: packet.ProtoUDP, TOS: 0xb9, HopLimit: 9, ID: 77, DF: true}
		ip.Put(got)
		if !bytes.Equal(got, want) {
			t.Errorf("Put: %x, want %x", got, want)
		}
	}
}

// An ICMP error goes back to the sender of the packet, quotes as much of it as it may, and has
// right checksums.
func TestICMPError(t *testing.T) {
	t.Parallel()
	for _, s := range []tuntest.TCP{syn4(), syn6()} {
		router := addr("203.0.113.7")
		typ, code, proto, longest := uint8(packet.ICMPUnreachable), uint8(packet.ICMPFragmentationNeeded), uint8(packet.ProtoICMP), 576
		if s.Src.Addr().Is6() {
			router = addr("2001:db8::7")
			typ, code, proto, longest = packet.ICMPv6PacketTooBig, 0, packet.ProtoICMPv6, 1280
		}
		for _, payload := range []int{0, 3, 4000} {
			s.Payload = make([]byte, payload)
			sent := append(s.Packet(), "behind the packet's end"...)
			got := packet.ICMPError(parse(sent), sent, router, typ, code, 1400)
			if err := tuntest.VerifyChecksums(got); err != nil {
				t.Errorf("%v, payload %d: %v", s.Src, payload, err)
			}
			h := parse(got)
			gotType, gotCode, quote, ok := h.ICMPErrorOf(got)
			if !ok || h.Proto != proto || gotType != typ || gotCode != code || h.Src(got) != router || h.Dst(got) != s.Src.Addr() {
				t.Errorf("%v: %+v, type %d, code %d", s.Src, h, gotType, gotCode)
			}
			if mtu := binary.BigEndian.Uint32(got[h.Offset+4:]); mtu != 1400 {
				t.Errorf("%v: MTU %d, want 1400", s.Src, mtu)
			}
			whole := s.Packet()
			if want := min(len(whole), longest-h.Offset-8); len(quote) != want || !bytes.Equal(quote, whole[:want]) {
				t.Errorf("%v, payload %d: quotes %d bytes, want %d", s.Src, payload, len(quote), want)
			}
		}
	}
}

func TestICMPErrorOf(t *testing.T) {
	t.Parallel()
	for typ := range 256 {
		b := tuntest.ICMP{Src: client4.Addr(), Dst: server4.Addr(), Type: uint8(typ)}.Packet()
		_, _, _, ok := parse(b).ICMPErrorOf(b)
		if want := slices.Contains([]int{3, 4, 5, 11, 12}, typ); ok != want {
			t.Errorf("ICMP type %d is an error: %t, want %t", typ, ok, want)
		}
		b = tuntest.ICMP{Src: client6.Addr(), Dst: server6.Addr(), Type: uint8(typ)}.Packet()
		if _, _, _, ok := parse(b).ICMPErrorOf(b); ok != (typ < 128) {
			t.Errorf("ICMPv6 type %d is an error: %t", typ, ok)
		}
		if _, _, _, ok := parse(b).ICMPErrorOf(b[:47]); ok {
			t.Errorf("an ICMPv6 message of 7 bytes is an error of type %d", typ)
		}
	}
}

// Each byte of a packet is covered by a checksum, and it does not matter where head ends.
func TestChecksumOK(t *testing.T) {
	t.Parallel()
	echo4 := tuntest.ICMP{Src: client4.Addr(), Dst: server4.Addr(), Type: 8, Payload: []byte("an odd ping")}.Packet()
	echo6 := tuntest.ICMP{Src: client6.Addr(), Dst: server6.Addr(), Type: 128, Payload: []byte("an odd ping")}.Packet()
	for name, b := range map[string][]byte{
		"TCP": syn4().Packet(), "TCP over IPv6": syn6().Packet(), "TCP behind options": behind(syn6().Packet(), destOptions),
		"UDP": udp(client4, server4), "UDP over IPv6": udp(client6, server6), "ICMP": echo4, "ICMPv6": echo6,
	} {
		h := parse(b)
		for cut := h.Offset + 20; cut <= len(b); cut++ {
			if !h.ChecksumOK(b[:cut], b[cut:]) {
				t.Errorf("%s, head of %d bytes: wrong", name, cut)
			}
		}
		for i := h.Offset; i < h.Length; i++ {
			broken := edit(b, i, b[i]^0x10)
			if h.Proto == packet.ProtoUDP && i-h.Offset == 4 { // a length beyond the packet is taken for the packet's
				continue
			}
			if h.ChecksumOK(broken, nil) {
				t.Errorf("%s: byte %d is not covered", name, i)
			}
		}
		if !h.ChecksumOK(append(slices.Clone(b), 1, 2, 3), nil) {
			t.Errorf("%s: bytes behind the packet count", name)
		}
	}
}

// A UDP datagram may have no checksum in IPv4, and options behind its payload (RFC 9868).
func TestUDPChecksum(t *testing.T) {
	t.Parallel()
	none4, none6 := udp(client4, server4), udp(client6, server6)
	clear(none4[26:28])
	clear(none6[46:48])
	options := slices.Concat(udp(client6, server6), []byte{1, 1, 0, 0})
	options[5] += 4
	if !parse(none4).ChecksumOK(none4, nil) {
		t.Error("IPv4: no checksum is wrong")
	}
	if parse(none6).ChecksumOK(none6, nil) {
		t.Error("IPv6: no checksum is right")
	}
	if !parse(options).ChecksumOK(options, nil) {
		t.Error("the checksum covers options")
	}
}

func TestIPv4HeaderIntact(t *testing.T) {
	t.Parallel()
	s := syn4()
	for range 11 {
		b := s.Packet()
		h := parse(b)
		if !packet.IPv4HeaderIntact(b[:h.HeaderLen]) {
			t.Errorf("header of %d bytes: wrong", h.HeaderLen)
		}
		for i := range h.HeaderLen {
			if packet.IPv4HeaderIntact(edit(b, i, b[i]^4)[:h.HeaderLen]) {
				t.Errorf("header of %d bytes: byte %d is not covered", h.HeaderLen, i)
			}
		}
		s.IP.Options = append(s.IP.Options, 1, 1, 1, 1)
	}
}

func TestParseAllocates(t *testing.T) {
	b := behind(syn6().Packet(), hopByHop, destOptions)
	n := testing.AllocsPerRun(100, func() {
		var h packet.Headers
		h.Parse(b, len(b))
		if !h.TCP || !h.Src(b).Is6() {
			t.Fatal(h)
		}
	})
	if n != 0 {
		t.Errorf("Parse allocates %v times", n)
	}
}

func BenchmarkParse(b *testing.B) {
	for name, p := range map[string][]byte{
		"IPv4": syn4().Packet(), "IPv6": syn6().Packet(), "IPv6, three extension headers": behind(syn6().Packet(), hopByHop, destOptions, routing),
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				var h packet.Headers
				h.Parse(p, len(p))
				if !h.TCP {
					b.Fatal("no TCP")
				}
			}
		})
	}
}
