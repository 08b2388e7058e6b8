package tuntest_test

import (
	"encoding/hex"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"syntap/tun"
	"syntap/tun/packet"
	"syntap/tun/tuntest"
)

var (
	addr = netip.MustParseAddr
	port = netip.MustParseAddrPort
)

func TestPackets(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		packet []byte
		want   string // in hex
	}{
		{
			"TCP, as captured",
			tuntest.TCP{
				Src: port("192.168.1.12:1051"), Dst: port("192.168.1.11:23"), Seq: 4255483971, Flags: tuntest.SYN, Window: 65535,
				Options: []byte{2, 4, 0x05, 0xb4}, IP: tuntest.IP{ID: 1001, DF: true},
			}.Packet(),
			"4500002c03e940004006b37bc0a8010cc0a8010b" + "041b0017fda58843000000006002ffff8aa30000" + "020405b4",
		},
		{
			"TCP over IPv6, as captured",
			tuntest.TCP{
				Src: port("[2001:db8::12]:43211"), Dst: port("[2001:db8::11]:443"), Seq: 42, Flags: tuntest.SYN, Window: 64800,
				Options: []byte{2, 4, 0x05, 0xa0, 4, 2, 8, 10, 0, 0, 0, 100, 0, 0, 0, 0, 1, 3, 3, 7},
			}.Packet(),
			"600000000028064020010db800000000000000000000001220010db8000000000000000000000011" +
				"a8cb01bb0000002a00000000a002fd20444a0000" + "020405a00402080a000000640000000001030307",
		},
		{
			"UDP",
			tuntest.UDP{Src: port("192.0.2.1:53"), Dst: port("198.51.100.2:1024"), Payload: []byte("hi"), IP: tuntest.IP{TTL: 3, TOS: 0xb8}}.Packet(),
			"45b8001e000000000311cae0c0000201c6336402" + "00350400000aa704" + "6869",
		},
		{
			"ICMP echo request",
			tuntest.ICMP{Src: addr("192.0.2.1"), Dst: addr("198.51.100.2"), Type: 8, Rest: [4]byte{0, 1, 0, 2}}.Packet(),
			"4500001c0000000040018eaac0000201c6336402" + "0800f7fc00010002",
		},
		{
			"fragment with IPv4 options",
			tuntest.IP{Options: []byte{1, 1, 1, 0}, Fragment: 0x2001}.Packet(addr("192.0.2.1"), addr("198.51.100.2"), 17, []byte{1, 2}),
			"4600001a0000200140116b9ac0000201c6336402" + "01010100" + "0102",
		},
	}
	for _, tt := range tests {
		if got := hex.EncodeToString(tt.packet); got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, got, tt.want)
		}
	}
}

func TestVerifyChecksums(t *testing.T) {
	t.Parallel()
	packets := map[string][]byte{
		"TCP":    tuntest.TCP{Src: port("192.0.2.1:1024"), Dst: port("198.51.100.2:80"), Flags: tuntest.ACK, Payload: []byte("odd")}.Packet(),
		"UDP":    tuntest.UDP{Src: port("192.0.2.1:1024"), Dst: port("198.51.100.2:53"), Payload: []byte("even")}.Packet(),
		"ICMP":   tuntest.ICMP{Src: addr("192.0.2.1"), Dst: addr("198.51.100.2"), Type: 8}.Packet(),
		"TCPv6":  tuntest.TCP{Src: port("[2001:db8::1]:1024"), Dst: port("[2001:db8::2]:80"), Flags: tuntest.SYN, Options: []byte{2, 4, 5}}.Packet(),
		"UDPv6":  tuntest.UDP{Src: port("[2001:db8::1]:1024"), Dst: port("[2001:db8::2]:53")}.Packet(),
		"ICMPv6": tuntest.ICMP{Src: addr("2001:db8::1"), Dst: addr("2001:db8::2"), Type: 128, Payload: []byte("ping")}.Packet(),
	}
	for name, packet := range packets {
		if err := tuntest.VerifyChecksums(packet); err != nil {
			t.Errorf("VerifyChecksums(%s) = %v, want nil", name, err)
		}
		if err := tuntest.VerifyChecksums(packet[:len(packet)-1]); err == nil {
			t.Errorf("VerifyChecksums(%s cut short) = nil, want an error", name)
		}
		last := len(packet) - 1
		packet[last] ^= 1
		if err := tuntest.VerifyChecksums(packet); err == nil {
			t.Errorf("VerifyChecksums(%s with its last bit flipped) = nil, want an error", name)
		}
	}
}

func TestOffloaded(t *testing.T) {
	t.Parallel()
	payload := make([]byte, 3000)
	tcp4 := tuntest.TCP{Src: port("192.0.2.1:1024"), Dst: port("198.51.100.2:80"), Flags: tuntest.ACK, Options: make([]byte, 12), Payload: payload}
	tcp6 := tuntest.TCP{Src: port("[2001:db8::1]:1024"), Dst: port("[2001:db8::2]:80"), Flags: tuntest.ACK, Payload: payload}
	udp := tuntest.UDP{Src: port("192.0.2.1:1024"), Dst: port("198.51.100.2:53"), Payload: payload}
	tests := []struct {
		name    string
		packet  []byte
		gsoSize uint16
		want    tun.Offload
	}{
		{"TCP", tcp4.Packet(), 1448, tun.Offload{Flags: tun.NeedsCsum, GSO: tun.GSOTCPv4, HdrLen: 52, GSOSize: 1448, CsumStart: 20, CsumOffset: 16}},
		{"TCP over IPv6", tcp6.Packet(), 1440, tun.Offload{Flags: tun.NeedsCsum, GSO: tun.GSOTCPv6, HdrLen: 60, GSOSize: 1440, CsumStart: 40, CsumOffset: 16}},
		{"UDP", udp.Packet(), 1000, tun.Offload{Flags: tun.NeedsCsum, GSO: tun.GSOUDP, HdrLen: 28, GSOSize: 1000, CsumStart: 20, CsumOffset: 6}},
		{"one piece", udp.Packet(), 3000, tun.Offload{Flags: tun.NeedsCsum, CsumStart: 20, CsumOffset: 6}},
		{"checksum only", tcp4.Packet(), 0, tun.Offload{Flags: tun.NeedsCsum, CsumStart: 20, CsumOffset: 16}},
	}
	for _, tt := range tests {
		whole := slices.Clone(tt.packet)
		f := tuntest.Offloaded(tt.packet, tt.gsoSize)
		if diff := cmp.Diff(tt.want, f.Offload); diff != "" {
			t.Errorf("%s: offload (-want +got):\n%s", tt.name, diff)
		}
		// The device's treatment of NeedsCsum (virtio 1.2 §5.1.6.2) must finish the packet.
		start, field := int(f.Offload.CsumStart), int(f.Offload.CsumStart+f.Offload.CsumOffset)
		sum := ^packet.Checksum(f.Data[start:], 0)
		f.Data[field], f.Data[field+1] = byte(sum>>8), byte(sum)
		if diff := cmp.Diff(whole, f.Data); diff != "" {
			t.Errorf("%s: finished packet (-want +got):\n%s", tt.name, diff)
		}
	}
}
