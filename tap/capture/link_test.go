package capture_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
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
		{"802.1Q with SNAP", 1, ether(v4, 0x8100, 7, 48, 0xaaaa, 0x0300, 0, 0x0800), tagged(ip4, 7)},
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
		{"PPP of pppd, sent", 9, join([]byte{1, 3, 0, 0x21}, v4), ip4},
		{"PPP MPLS", 9, join([]byte{0xff, 3, 0x02, 0x81, 0, 1, 1, 64}, v6), want{Network: v6}},
		{"PPPoE in a VLAN", 1, ether(v4, 0x8100, 5, 0x8864, 0x1100, 1, 42, 0x0021), tagged(ip4, 5)},
		{"PPPoE with padding", 1, ether(join(v4, make([]byte, 6)), 0x8864, 0x1100, 1, 42, 0x0021), want{EtherType: 0x0800, Network: join(v4, make([]byte, 6))}},
		{"PPPoE by itself", 51, join([]byte{0x11, 0, 0, 1, 0, 42, 0, 0x21}, v4), ip4},
		{"PPPoE discovery with a packet's protocol", 1, ether(v4, 0x8864, 0x1109, 1, 42, 0x0021), want{EtherType: 0x8864}},
		{"PPP-HDLC", 50, join([]byte{0xff, 3, 0, 0x21}, v4), ip4},
		{"PPP-HDLC IPv6", 50, join([]byte{0xff, 3, 0, 0x57}, v6), ip6},
		{"PPP-HDLC of Cisco", 50, join([]byte{0x0f, 0, 8, 0}, v4), ip4},
		{"PPP-HDLC of another address", 50, join([]byte{0x10, 3, 0, 0x21}, v4), none},
		{"PPP-HDLC cut", 50, []byte{0xff, 3, 0}, none},
		{"Cisco HDLC", 104, join([]byte{0x8f, 0, 0x86, 0xdd}, v6), ip6},
		{"Cisco HDLC MPLS", 104, join([]byte{0x0f, 0, 0x88, 0x47, 0, 1, 1, 64}, v4), want{Network: v4}},
		{"Cisco HDLC SLARP", 104, []byte{0x8f, 0, 0x80, 0x35, 0, 0}, none},
		{"Cisco HDLC cut", 104, []byte{0x8f, 0, 8}, none},
		{"NFLOG", 239, nflog(2, v4), ip4},
		{"NFLOG IPv6", 239, nflog(10, v6), ip6},
		{"NFLOG of a bridge", 239, nflog(7, v4), none},
		{"NFLOG cut", 239, nflog(2, v4)[:15], none},
		{"NFLOG of an attribute without length", 239, []byte{2, 0, 0, 0, 0, 0, 9, 0}, none},
		{"PFLOG", 117, join(pflog(2), v4), ip4},
		{"PFLOG FreeBSD IPv6", 117, join(pflog(28), v6), ip6},
		{"PFLOG of another family", 117, join(pflog(7), v6), none},
		{"PFLOG cut", 117, pflog(2)[:60], none},
		{"PFLOG of an old version", 117, join([]byte{28, 2}, make([]byte, 90)), none},
		{"DSA", 284, tag(ether(v4, 0x0800), 0xc0, 8, 0, 1), ip4},
		{"DSA of a VLAN", 284, tag(ether(v4, 0x8100, 7, 0x0800), 0xe0, 8, 0, 1), tagged(ip4, 7)},
		{"DSA cut", 284, make([]byte, 17), none},
		{"EDSA", 285, tag(ether(v6, 0x86dd), 0xda, 0xda, 0, 0, 0x40, 8, 0, 1), ip6},
		{"FDDI", 10, fddi(v4, 0x0800), ip4},
		{"FDDI of no LLC", 10, join([]byte{0xc0}, fddi(v4, 0x0800)[1:]), none},
		{"FDDI cut", 10, fddi(v4, 0x0800)[:20], none},
		{"Frame Relay", 107, join([]byte{0x18, 0x41, 3, 0xcc}, v4), ip4},
		{"Frame Relay IPv6", 107, join([]byte{0x18, 0x40, 0x41, 3, 0, 0x8e}, v6), ip6},
		{"Frame Relay SNAP", 107, join([]byte{0x18, 0x41, 3, 0, 0x80, 0, 0, 0, 8, 0}, v4), ip4},
		{"Frame Relay of Cisco", 107, join([]byte{0x18, 0x41, 0x86, 0xdd}, v6), ip6},
		{"Frame Relay LMI", 107, []byte{0, 1, 3, 8, 0, 0x75}, none},
		{"Frame Relay of an endless address", 107, make([]byte, 40), none},
		{"Frame Relay cut", 107, []byte{0x18, 0x41, 3, 0}, none},
		{"PPI of 802.11", 192, join(ppi(105), wifi(0x0108, v4)), ip4},
		{"PPI of another", 192, join(ppi(192), v4), none},
		{"PPI longer than the frame", 192, ppi(105)[:11], none},
		{"PPI cut", 192, ppi(105)[:7], none},
		{"IPoIB", 242, join(make([]byte, 40), join([]byte{0x86, 0xdd, 0, 0}, v6)), ip6},
		{"IPoIB cut", 242, make([]byte, 43), none},
		{"PKTAP", 258, join(pktap(1, 1), ether(v4, 0x8100, 7, 0x0800)), tagged(ip4, 7)},
		{"PKTAP of raw IP, old", 149, join(pktap(1, 12), v6), want{Network: v6}},
		{"PKTAP of no packet", 258, join(pktap(0, 12), v6), none},
		{"PKTAP of an endless header", 258, []byte{255, 255, 255, 255, 1, 0, 0, 0, 12, 0, 0, 0, 69}, none},
		{"PKTAP cut", 258, pktap(1, 1)[:11], none},
		{"Broadcom tag", 281, tag(ether(v4, 0x0800), 0, 0, 0, 1), ip4},
		{"Broadcom tag in front", 282, join([]byte{0, 0, 0, 1}, ether(v6, 0x86dd)), ip6},
		{"802.11", 105, wifi(0x0108, v4), ip4},
		{"802.11 QoS between access points", 105, wifi(0x0388, v4), ip4},
		{"802.11 with HT Control", 105, wifi(0x8188, v4), ip4},
		{"802.11 without data", 105, wifi(0x0148, v4), none},
		{"802.11 beacon", 105, wifi(0x0080, v4), none},
		{"802.11 cut", 105, wifi(0x0108, v4)[:31], none},
		{"Prism", 119, join(make([]byte, 144), wifi(0x0108, v4)), ip4},
		{"AVS in Prism's place", 119, join([]byte{0x80, 0x21, 0x10, 1, 0, 0, 0, 12, 0, 0, 0, 0}, wifi(0x0108, v4)), ip4},
		{"AVS", 163, join([]byte{0x80, 0x21, 0x10, 2, 0, 0, 0, 64}, join(make([]byte, 56), wifi(0x0108, v4))), ip4},
		{"AVS cut", 163, []byte{0x80, 0x21, 0x10, 2, 0, 0, 0, 64}, none},
		{"radiotap", 127, join([]byte{0, 0, 8, 0, 0, 0, 0, 0}, wifi(0x0108, v4)), ip4},
		{"radiotap with padding", 127, join([]byte{0, 0, 9, 0, 2, 0, 0, 0, 0x20}, wifi(0x0188, v4, 2)), ip4},
		{"radiotap longer than the frame", 127, []byte{0, 0, 9, 0, 0, 0, 0, 0}, none},
		{"radiotap of endless bitmaps", 127, []byte{0, 0, 12, 0, 0, 0, 0, 0x80, 0, 0, 0, 0x80}, none},
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
			wire := len(p.Network) + beyond
			if strings.HasPrefix(tt.name, "PPPoE") { // whose length field counts
				wire = len(p.Network) - len(p.Network)%20
			}
			if len(p.Network) > 0 && p.NetworkLength != wire {
				t.Errorf("NetworkLength = %d, want %d", p.NetworkLength, wire)
			}
		})
	}
}

// TestSkipped names frames that are not looked into, and those that end before their check
// sequence.
func TestSkipped(t *testing.T) {
	t.Parallel()
	fcs := append([]byte{0, 0, 9, 0, 2, 0, 0, 0, 0x10}, wifi(0x0108, syn4())...)
	fcs = append(fcs, 1, 2, 3, 4)
	for _, tt := range []struct {
		link    capture.LinkType
		frame   []byte
		skipped string
		network []byte
	}{
		{105, wifi(0x4108, syn4()), "encrypted 802.11 frames", nil},
		{105, wifi(0x0108, syn4()), "", syn4()},
		{127, fcs, "", syn4()},
	} {
		f := little().pcapHeader(0xa1b2c3d4, 4, uint32(tt.link))
		f.pcapPacket(0, 0, tt.frame, uint32(len(tt.frame)))
		packets, err := readAll(t, f.b)
		if err != nil {
			t.Fatal(err)
		}
		p := packets[0]
		if p.Unread() != tt.skipped || !bytes.Equal(p.Network, tt.network) || p.NetworkLength != len(tt.network) {
			t.Errorf("frame %x: skipped %q, network layer of %d bytes %x", tt.frame, p.Unread(), p.NetworkLength, p.Network)
		}
	}
}

// TestAggregates takes the packets of an A-MSDU one by one, and goes on with the next frame.
func TestAggregates(t *testing.T) {
	t.Parallel()
	msdu := func(packet []byte, etherType uint16) []byte {
		b := append(make([]byte, 12), 0, byte(8+len(packet)), 0xaa, 0xaa, 3, 0, 0, 0)
		b = append(binary.BigEndian.AppendUint16(b, etherType), packet...)
		return append(b, make([]byte, 3-(len(b)+3)%4)...)
	}
	frame := append([]byte{0, 0, 9, 0, 2, 0, 0, 0, 0x10}, wifi(0x0188, nil)[:26]...)
	frame[9+24] = 0x80
	frame = slices.Concat(frame, msdu(syn4(), 0x0800), msdu(make([]byte, 29), 0x0806), msdu(syn6(), 0x86dd), []byte{1, 2, 3, 4})
	f := little().pcapHeader(0xa1b2c3d4, 4, 127)
	f.pcapPacket(0, 0, frame, uint32(len(frame)))
	f.pcapPacket(0, 0, frame[:80], uint32(len(frame)))
	packets, err := readAll(t, f.b)
	if err != nil {
		t.Fatal(err)
	}
	type part struct {
		Part    bool
		Network []byte
		Length  int
	}
	var got []part
	for _, p := range packets {
		got = append(got, part{p.Part, p.Network, p.NetworkLength})
	}
	want := []part{
		{false, syn4(), 40},
		{true, nil, 0},
		{true, syn6(), 60},
		{false, syn4()[:80-57], 40},
		{true, nil, 0},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("packets (-want +got):\n%s", diff)
	}
}

// nflog is a frame of NFLOG with a prefix and a payload.
func nflog(family byte, packet []byte) []byte {
	b := []byte{family, 0, 0, 100, 7, 0, 10, 0, 'x', 'y', 0, 0}
	b = binary.LittleEndian.AppendUint16(b, uint16(4+len(packet)))
	return append(append(b, 9, 0), packet...)
}

// fddi is a frame of FDDI with LLC.
func fddi(packet []byte, etherType uint16) []byte {
	b := append([]byte{0x54}, make([]byte, 12)...)
	b = append(b, 0xaa, 0xaa, 3, 0, 0, 0)
	return append(binary.BigEndian.AppendUint16(b, etherType), packet...)
}

// ppi is a header with a field of 4 bytes, in front of a frame of a type.
func ppi(dlt byte) []byte { return []byte{0, 0, 16, 0, dlt, 0, 0, 0, 2, 0, 4, 0, 1, 2, 3, 4} }

// pktap is Apple's header in front of a frame of a type.
func pktap(record, dlt byte) []byte {
	b := make([]byte, 108)
	b[0], b[4], b[8] = 108, record, dlt
	copy(b[12:], "en0")
	return b
}

// pflog is the header of a packet on em0.
func pflog(family byte) []byte {
	b := make([]byte, 64)
	b[0], b[1] = 61, family
	copy(b[4:], "em0")
	return b
}

// tag puts a switch's tag behind the addresses of an Ethernet frame.
func tag(frame []byte, tag ...byte) []byte { return slices.Insert(slices.Clone(frame), 12, tag...) }

// wifi is an 802.11 frame with a frame control field, and padding behind its header.
func wifi(control uint16, packet []byte, padding ...int) []byte {
	header := 24
	if control&0x0300 == 0x0300 {
		header = 30
	}
	if control&0x0080 != 0 {
		header += 2
		if control&0x8000 != 0 {
			header += 4
		}
	}
	for _, n := range padding {
		header += n
	}
	b := make([]byte, header)
	binary.LittleEndian.PutUint16(b, control)
	b = append(b, 0xaa, 0xaa, 3, 0, 0, 0, 8, 0)
	return append(b, packet...)
}
