package capture_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"syntap/tap/capture"
)

func TestLinkTypes(t *testing.T) {
	t.Parallel()
	v4, v6 := syn4(), syn6()
	join := func(head []byte, packet []byte) []byte { return append(append([]byte{}, head...), packet...) }
	sll := make([]byte, 14)
	cooked2 := func(packetType byte, protocol ...byte) []byte {
		return append(protocol, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 1, packetType, 6, 2, 0, 0, 0, 0, 1, 0, 0)
	}
	type want struct {
		EtherType uint16
		Network   []byte
		VLANs     []uint16
	}
	ip4, ip6, none := want{EtherType: 0x0800, Network: v4}, want{EtherType: 0x86dd, Network: v6}, want{}
	tagged := func(w want, vlans ...uint16) want { w.VLANs = vlans; return w }

	tests := []struct {
		name  string
		link  capture.LinkType
		frame []byte
		want  want
	}{
		{"Ethernet IPv4", 1, ether(v4, 0x0800), ip4},
		{"Ethernet IPv6", 1, ether(v6, 0x86dd), ip6},
		{"Ethernet ARP", 1, ether(make([]byte, 28), 0x0806), want{EtherType: 0x0806}},
		{"Ethernet without payload", 1, ether(nil, 0x0800), want{EtherType: 0x0800}},
		{"Ethernet cut", 1, ether(nil, 0x0800)[:13], none},
		{"empty frame", 1, nil, none},
		{"802.3 with SNAP", 1, ether(v4, 48, 0xaaaa, 0x0300, 0, 0x0800), ip4},
		{"802.3 with another LLC", 1, ether(v4, 48, 0x4242, 0x0300, 0, 0x0800), want{EtherType: 48}},
		{"802.1Q", 1, ether(v4, 0x8100, 0xa064, 0x0800), tagged(ip4, 0xa064)},
		{"802.1ad over 802.1Q", 1, ether(v6, 0x88a8, 100, 0x8100, 200, 0x86dd), tagged(ip6, 100, 200)},
		{"QinQ before 802.1ad", 1, ether(v4, 0x9100, 1, 0x9200, 2, 0x8100, 3, 0x0800), tagged(ip4, 1, 2, 3)},
		{"802.1Q cut in the tag", 1, ether([]byte{0, 1, 8}, 0x8100), want{EtherType: 0x8100}},
		{"MPLS stack of two", 1, ether(v6, 0x8847, 1, 0x0040, 1, 0x0140), want{Network: v6}},
		{"MPLS below a tag", 1, ether(v4, 0x8100, 5, 0x8847, 1, 0x0140), tagged(want{Network: v4}, 5)},
		{"MPLS cut in the stack", 1, ether([]byte{0, 0, 0}, 0x8847, 1, 0x0040), want{EtherType: 0x8847}},
		{"PPPoE session", 1, ether(v4, 0x8864, 0x1100, 1, 42, 0x0021), ip4},
		{"PPPoE IPv6", 1, ether(v6, 0x8864, 0x1100, 1, 62, 0x0057), ip6},
		{"PPPoE discovery", 1, ether(v4, 0x8863, 0x1109, 0, 0), want{EtherType: 0x8863}},
		{"PPPoE cut", 1, ether(nil, 0x8864, 0x1100, 1, 42), want{EtherType: 0x8864}},
		{"802.1Q cut behind the tag", 1, ether(nil, 0x8100, 1, 0x0800), tagged(want{EtherType: 0x0800}, 1)},
		{"raw IPv4", 101, v4, want{Network: v4}},
		{"raw IPv6 as 12", 12, v6, want{Network: v6}},
		{"raw IPv4 as 14", 14, v4, want{Network: v4}},
		{"IPv4", 228, v4, want{Network: v4}},
		{"IPv6", 229, v6, want{Network: v6}},
		{"cooked v1", 113, join(sll, join([]byte{8, 0}, v4)), ip4},
		{"cooked v1 with a tag", 113, join(sll, join([]byte{0x81, 0, 0, 9, 0x86, 0xdd}, v6)), tagged(ip6, 9)},
		{"cooked v1 cut", 113, make([]byte, 15), none},
		{"cooked v2", 276, join(cooked2(4, 8, 0), v4), ip4},
		{"cooked v2 IPv6", 276, join(cooked2(0, 0x86, 0xdd), v6), ip6},
		{"cooked v2 cut", 276, cooked2(4, 8, 0)[:19], none},
		{"null little endian IPv4", 0, join([]byte{2, 0, 0, 0}, v4), ip4},
		{"null big endian IPv4", 0, join([]byte{0, 0, 0, 2}, v4), ip4},
		{"null Linux IPv6", 0, join([]byte{10, 0, 0, 0}, v6), ip6},
		{"null Windows IPv6", 0, join([]byte{23, 0, 0, 0}, v6), ip6},
		{"null NetBSD IPv6", 0, join([]byte{24, 0, 0, 0}, v6), ip6},
		{"null FreeBSD IPv6, big endian", 0, join([]byte{0, 0, 0, 28}, v6), ip6},
		{"null macOS IPv6", 0, join([]byte{30, 0, 0, 0}, v6), ip6},
		{"null of another family", 0, join([]byte{7, 0, 0, 0}, v4), none},
		{"null of a family both orders could read", 0, join([]byte{2, 0, 0, 2}, v4), none},
		{"null cut", 0, []byte{2, 0, 0}, none},
		{"loop IPv4", 108, join([]byte{0, 0, 0, 2}, v4), ip4},
		{"loop OpenBSD IPv6", 108, join([]byte{0, 0, 0, 24}, v6), ip6},
		{"PPP with HDLC framing", 9, join([]byte{0xff, 3, 0, 0x21}, v4), ip4},
		{"PPP bare", 9, join([]byte{0, 0x57}, v6), ip6},
		{"PPP with compressed protocol", 9, join([]byte{0xff, 3, 0x21}, v4), ip4},
		{"PPP LCP", 9, []byte{0xff, 3, 0xc0, 0x21, 1, 2}, none},
		{"PPP cut", 9, []byte{0xff, 3, 0}, none},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			const beyond = 7 // bytes on the wire that the snap length cut off
			f := little().pcapHeader(0xa1b2c3d4, 4, uint32(tt.link))
			// The first packet makes sure that nothing of one packet is left in the next.
			f.pcapPacket(0, 0, ether(v4, 0x8100, 1, 0x0800), 58)
			f.pcapPacket(0, 0, tt.frame, uint32(len(tt.frame)+beyond))
			packets, err := readAll(t, f.b)
			if err != nil {
				t.Fatal(err)
			}
			p := packets[1]
			got := want{p.EtherType, bytes.Clone(p.Network), p.VLANs}
			if len(got.Network) == 0 {
				got.Network = nil
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("packet (-want +got):\n%s", diff)
			}
			if len(p.Network) > 0 && p.NetworkLength != len(p.Network)+beyond {
				t.Errorf("NetworkLength = %d, want %d", p.NetworkLength, len(p.Network)+beyond)
			}
		})
	}
}
