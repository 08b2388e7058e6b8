package capture_test

import (
	"slices"
	"testing"

	"syntap/tun/tuntest"
)

// TestUnread names packets that may hold a handshake and are not looked into, and no others.
func TestUnread(t *testing.T) {
	t.Parallel()
	v4, v6 := syn4(), syn6()
	label := []byte{0, 1, 0x21, 64} // at the bottom of its stack
	const unread, gre2 = "packets whose headers were not captured", "packets in GRE of another form"
	header := len(ether(nil, 0x0800))
	for _, tt := range []struct {
		name  string
		frame []byte
		cut   int // captured bytes; 0 = all
		want  string
	}{
		{"a segment", ether(v4, 0x0800), 0, ""},
		{"a segment of IPv6", ether(v6, 0x86dd), 0, ""},
		{"a segment without its flags", ether(v4, 0x0800), header + 32, unread},
		{"a segment without its ports", ether(v4, 0x0800), header + 20, unread},
		{"a packet without addresses", ether(v6, 0x86dd), header + 12, unread},
		{"a datagram of DNS, cut", ether(udp(53, v4), 0x0800), header + 28, ""},
		{"ARP", ether(make([]byte, 28), 0x0806), 0, ""},
		{"ARP, cut", ether(make([]byte, 28), 0x0806), header + 10, ""},
		{"the first of fragments, with its header", ether(tuntest.IP{Fragment: 0x2000}.Packet(left4, right4, 6, v4[20:40]), 0x0800), 0, ""},
		{"the first of tiny fragments", ether(tuntest.IP{Fragment: 0x2000}.Packet(left4, right4, 6, v4[20:28]), 0x0800), 0, "TCP segments whose headers stand in several fragments"},
		{"a later fragment", ether(tuntest.IP{Fragment: 1}.Packet(left4, right4, 6, v4[28:]), 0x0800), 0, ""},
		{"a frame in MPLS", ether(slices.Concat(label, make([]byte, 4), ether(v4, 0x0800)), 0x8847), 0, "frames in MPLS"},
		{"a packet in MPLS", ether(slices.Concat(label, v4), 0x8847), 0, ""},
		{"a channel beside MPLS", ether(slices.Concat(label, []byte{0x10, 0, 0, 0x21}, v4), 0x8847), 0, ""},
		{"MACsec", ether(make([]byte, 60), 0x8100, 5, 0x88e5), 0, "MACsec frames"},
		{"GRE", ether(through4(47, gre(0, 0x0800), v4), 0x0800), 0, ""},
		{"GRE with routing", ether(through4(47, gre(0x4000, 0x0800), v4), 0x0800), 0, gre2},
		{"WCCP", ether(through4(47, gre(0, 0x883e), make([]byte, 4), v4), 0x0800), 0, gre2},
		{"a keepalive of GRE", ether(through4(47, gre(0, 0)), 0x0800), 0, ""},
		{"ESP", ether(through6(50, make([]byte, 60)), 0x86dd), 0, "packets in ESP"},
		{"ESP in UDP", ether(udp(4500, []byte{0, 0, 0, 7}, make([]byte, 60)), 0x0800), 0, "packets in ESP"},
		{"IKE", ether(udp(4500, make([]byte, 60)), 0x0800), 0, ""},
		{"GTP-U", ether(udp(2152, []byte{0x30, 255, 0, 60, 0, 0, 0, 1}, v4), 0x0800), 0, "packets in GTP-U"},
		{"an echo of GTP-U", ether(udp(2152, []byte{0x32, 1, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0}), 0x0800), 0, ""},
		{"L2TP", ether(udp(1701, []byte{0x40, 2, 0, 72, 0, 1, 0, 2, 0xff, 3, 0, 0x21}, v4), 0x0800), 0, "packets in L2TP"},
		{"control of L2TP", ether(udp(1701, []byte{0xc8, 2, 0, 12, 0, 1, 0, 0, 0, 0, 0, 0}), 0x0800), 0, ""},
		{"WireGuard", ether(udp(51820, []byte{4, 0, 0, 0}, make([]byte, 40)), 0x0800), 0, "packets in WireGuard"},
		{"a data offset of 16 bytes", ether(slices.Concat(v4[:32], []byte{0x40}, v4[33:]), 0x0800), 0, "TCP segments whose data offset lies in their header"},
		{"GUE", ether(udp(6080, []byte{0, 4, 0, 0}, v4), 0x0800), 0, "packets in GUE"},
		{"Teredo", ether(udp(3544, v6), 0x0800), 0, "packets in Teredo"},
	} {
		frame := tt.frame
		if tt.cut > 0 {
			frame = frame[:tt.cut]
		}
		packets, err := readAll(t, little().pcapHeader(0xa1b2c3d4, 4, 1).pcapPacket(5, 0, frame, uint32(len(tt.frame))).b)
		if err != nil {
			t.Fatal(err)
		}
		if got := packets[0].Unread(); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
