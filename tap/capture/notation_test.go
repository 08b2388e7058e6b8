package capture_test

import (
	"encoding/binary"
	"fmt"
	"net"
	"testing"

	"github.com/google/go-cmp/cmp"

	"syntap/tap/tcpdump"
)

func TestNotationPrefix(t *testing.T) {
	t.Parallel()
	interfaces, err := net.Interfaces()
	if err != nil || len(interfaces) == 0 {
		t.Skip("no network interface on this machine: ", err)
	}
	here := interfaces[0]
	cooked1 := func(words ...uint16) []byte { return ether(syn4(), append([]uint16{0}, words...)...) }
	cooked2 := func(index int, packetType byte, protocol uint16, rest ...byte) []byte {
		b := binary.BigEndian.AppendUint16(nil, protocol)
		b = binary.BigEndian.AppendUint32(append(b, 0, 0), uint32(index))
		b = append(b, 0, 1, packetType, 6, 2, 0, 0, 0, 0, 1, 0, 0)
		return append(b, rest...)
	}
	tests := []struct {
		name  string
		link  uint32
		frame []byte
		want  [2]string // Classic, Modern
	}{
		{"Ethernet", 1, ether(syn4(), 0x8100, 1, 0x0800), [2]string{}},
		{"cooked v1", 113, cooked1(0x0800), [2]string{}},
		{"cooked v1 with a tag", 113, cooked1(0x8100, 1, 0x0800), [2]string{"", "ethertype IPv4, "}},
		{"cooked v1 with two tags", 113, cooked1(0x8100, 1, 0x8100, 2, 0x0800), [2]string{"", "ethertype 802.1Q, ethertype IPv4, "}},
		{"cooked v2", 276, cooked2(here.Index, 0, 0x0800, syn4()...), [2]string{"", fmt.Sprintf("%-5s In  ", here.Name)}},
		{"cooked v2 sent", 276, cooked2(here.Index, 4, 0x86dd, syn6()...), [2]string{"", fmt.Sprintf("%-5s Out ", here.Name)}},
		{"cooked v2 of an unknown interface", 276, cooked2(1<<31-1, 5, 0x0800, syn4()...), [2]string{"", "?     ?   "}},
		{"cooked v2 with a tag", 276, cooked2(1<<31-1, 1, 0x8100, append([]byte{0, 1, 0x86, 0xdd}, syn6()...)...), [2]string{"", "?     B   ethertype IPv6, "}},
		{"MPLS", 1, ether(syn4(), 0x8847, 1, 0x0140), [2]string{"", "MPLS (label 16, tc 0, [S], ttl 64) "}},
		{"MPLS stack", 1, ether(syn4(), 0x8847, 1, 0x0aff, 2, 0x0101), [2]string{"", "MPLS (label 16, tc 5, ttl 255) (label 32, tc 0, [S], ttl 1) "}},
		{"PPPoE", 1, ether(syn4(), 0x8864, 0x1100, 0x1f, 42, 0x0021), [2]string{"PPPoE  [ses 0x1f] IP 42: ", "PPPoE  [ses 0x1f] "}},
		{"PPP", 9, append([]byte{0xff, 3, 0, 0x21}, syn4()...), [2]string{"IP 44: ", ""}},
		{"PPP IPv6", 9, append([]byte{0xff, 3, 0, 0x57}, syn6()...), [2]string{"IPv6 64: ", ""}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			packets, err := readAll(t, little().pcapHeader(0xa1b2c3d4, 4, tt.link).pcapPacket(0, 0, tt.frame, uint32(len(tt.frame))).b)
			if err != nil {
				t.Fatal(err)
			}
			p := &packets[0]
			want := tcpdump.Packet{Data: p.Network, Length: p.NetworkLength, EtherType: p.EtherType, VLANs: p.VLANs, Prefix: tt.want}
			if diff := cmp.Diff(want, p.Notation()); diff != "" {
				t.Errorf("notation (-want +got):\n%s", diff)
			}
			if len(p.Network) == 0 {
				t.Error("no network layer")
			}
		})
	}
}
