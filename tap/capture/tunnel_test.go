package capture_test

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"syntap/tap/capture"
	"syntap/tun/packet"
	"syntap/tun/tuntest"
)

var (
	left4, right4 = netip.MustParseAddr("203.0.113.5"), netip.MustParseAddr("203.0.113.6")
	left6, right6 = netip.MustParseAddr("2001:db8::5"), netip.MustParseAddr("2001:db8::6")
)

// through4 and through6 carry bytes from one end of a tunnel to the other.
func through4(proto uint8, b ...[]byte) []byte {
	return tuntest.IP{}.Packet(left4, right4, proto, slices.Concat(b...))
}

func through6(proto uint8, b ...[]byte) []byte {
	return tuntest.IP{}.Packet(left6, right6, proto, slices.Concat(b...))
}

func udp(port uint16, b ...[]byte) []byte {
	return tuntest.UDP{
		Src: netip.AddrPortFrom(left4, 50000), Dst: netip.AddrPortFrom(right4, port),
		Payload: slices.Concat(b...),
	}.Packet()
}

// gre is a GRE header with all the fields of its flags.
func gre(flags, etherType uint16) []byte {
	b := binary.BigEndian.AppendUint16(nil, flags)
	b = binary.BigEndian.AppendUint16(b, etherType)
	for _, field := range []uint16{0x8000, 0x2000, 0x1000} {
		if flags&field != 0 {
			b = append(b, 0, 0, 0, 7)
		}
	}
	if flags&0x0081 == 0x0081 {
		b = append(b, 0, 0, 0, 9)
	}
	return b
}

func TestInner(t *testing.T) {
	t.Parallel()
	v4, v6 := syn4(), syn6()
	vxlan, geneve := []byte{8, 0, 0, 0, 0, 0, 72, 0}, []byte{0, 0, 0x65, 0x58, 0, 0, 5, 0}
	option := []byte{1, 0x40, 0x65, 0x58, 0, 0, 5, 0, 0, 1, 0x80, 0} // and a header without data
	encapLimit := []byte{4, 0, 4, 1, 4, 1, 0, 0}                     // in front of the IPv4 packet (RFC 2473)
	for _, tt := range []struct {
		name   string
		outer  []byte
		tunnel capture.Tunnel
		inner  []byte
		vlans  []uint16
	}{
		{"IPIP", through4(4, v4), "IPIP", v4, nil},
		{"4in6", through6(4, v4), "4in6", v4, nil},
		{"4in6 behind options", through6(60, encapLimit, v4), "4in6", v4, nil},
		{"6in4", through4(41, v6), "6in4", v6, nil},
		{"6in6", through6(41, v6), "6in6", v6, nil},
		{"GRE", through4(47, gre(0, 0x0800), v4), "GRE", v4, nil},
		{"GRE with key and sequence number", through4(47, gre(0x3000, 0x86dd), v6), "GRE", v6, nil},
		{"GRE with everything", through6(47, gre(0xb000, 0x0800), v4), "GRE", v4, nil},
		{"GRE with Ethernet", through4(47, gre(0x2000, 0x6558), ether(v4, 0x8100, 9, 0x0800)), "GRE", v4, []uint16{9}},
		{"GRE with MPLS", through4(47, gre(0, 0x8847), []byte{0, 1, 0, 64, 0, 2, 1, 64}, v4), "GRE", v4, nil},
		{"GRE with PPP", through4(47, gre(0x3081, 0x880b), []byte{0xff, 3, 0, 0x21}, v4), "GRE", v4, nil},
		{"GRE with routing", through4(47, gre(0x4000, 0x0800), v4), "", nil, nil},
		{"GRE with another packet", through4(47, gre(0, 0x0806), v4), "", nil, nil},
		{"GRE cut", through4(47, gre(0x3000, 0x0800)[:9]), "", nil, nil},
		{"ERSPAN type I", through4(47, gre(0, 0x88be), ether(v4, 0x0800)), "GRE", v4, nil},
		{"ERSPAN type II", through4(47, gre(0x1000, 0x88be), make([]byte, 8), ether(v4, 0x0800)), "GRE", v4, nil},
		{"ERSPAN type III", through4(47, gre(0x1000, 0x22eb), make([]byte, 12), ether(v6, 0x86dd)), "GRE", v6, nil},
		{"VXLAN", udp(4789, vxlan, ether(v4, 0x0800)), "VXLAN", v4, nil},
		{"VXLAN with a VLAN", udp(4789, vxlan, ether(v6, 0x8100, 5, 0x86dd)), "VXLAN", v6, []uint16{5}},
		{"VXLAN on Linux's own port", udp(8472, vxlan, ether(v4, 0x0800)), "VXLAN", v4, nil},
		{"VXLAN without its flag", udp(4789, make([]byte, 8), ether(v4, 0x0800)), "", nil, nil},
		{"VXLAN-GPE", udp(4790, []byte{0x0c, 0, 0, 1, 0, 0, 72, 0}, v4), "VXLAN", v4, nil},
		{"VXLAN of ARP", udp(4789, vxlan, ether(make([]byte, 28), 0x0806)), "", nil, nil},
		{"Geneve", udp(6081, geneve, ether(v4, 0x0800)), "Geneve", v4, nil},
		{"Geneve with an option", udp(6081, option, ether(v4, 0x0800)), "Geneve", v4, nil},
		{"Geneve with IPv6", udp(6081, []byte{0, 0, 0x86, 0xdd, 0, 0, 5, 0}, v6), "Geneve", v6, nil},
		{"Geneve cut", udp(6081, option[:9]), "", nil, nil},
		{"UDP", udp(53, vxlan, ether(v4, 0x0800)), "", nil, nil},
		{"TCP", v4, "", nil, nil},
		{"later fragment", tuntest.IP{Fragment: 1}.Packet(left4, right4, 4, v4), "", nil, nil},
		{"nothing", through4(4), "", nil, nil},
	} {
		for link, frame := range map[uint32][]byte{1: ether(tt.outer, 0x0800), 101: tt.outer} {
			if link == 1 && tt.outer[0]>>4 == 6 {
				frame = ether(tt.outer, 0x86dd)
			}
			packets, err := readAll(t, little().pcapHeader(0xa1b2c3d4, 4, link).pcapPacket(5, 0, frame, uint32(len(frame))).b)
			if err != nil {
				t.Fatal(err)
			}
			inner, tunnel := packets[0].Inner()
			if tunnel != tt.tunnel || (inner == nil) != (tt.inner == nil) {
				t.Errorf("%s: %q, %v", tt.name, tunnel, inner)
				continue
			}
			if inner == nil {
				continue
			}
			if !bytes.Equal(inner.Network, tt.inner) || inner.NetworkLength != len(tt.inner) || !slices.Equal(inner.VLANs, tt.vlans) || inner.Time.Unix() != 5 {
				t.Errorf("%s: inner packet %x of %d bytes, VLANs %d, at %v; want %x", tt.name, inner.Network, inner.NetworkLength, inner.VLANs, inner.Time, tt.inner)
			}
		}
	}
}

// TestInnerOfInner takes one tunnel off the other.
func TestInnerOfInner(t *testing.T) {
	t.Parallel()
	frame := through4(47, gre(0, 0x86dd), through6(4, udp(4789, []byte{8, 0, 0, 0, 0, 0, 72, 0}, ether(syn4(), 0x0800))))
	packets, err := readAll(t, little().pcapHeader(0xa1b2c3d4, 4, 101).pcapPacket(5, 0, frame, uint32(len(frame))).b)
	if err != nil {
		t.Fatal(err)
	}
	p := &packets[0]
	for _, want := range []capture.Tunnel{capture.GRE, capture.FourIn6, capture.VXLAN, ""} {
		inner, tunnel := p.Inner()
		if tunnel != want {
			t.Fatalf("tunnel %q, want %q", tunnel, want)
		}
		if inner != nil {
			p = inner
		}
	}
	if !bytes.Equal(p.Network, syn4()) {
		t.Errorf("inmost packet %x", p.Network)
	}
}

// FuzzInner takes any packet for one that carries others.
func FuzzInner(f *testing.F) {
	for _, b := range [][]byte{
		through4(4, syn4()), through4(47, gre(0xb000, 0x6558), ether(syn4(), 0x0800)), through6(41, syn6()),
		through4(47, gre(0x1000, 0x88be), make([]byte, 8), ether(syn4(), 0x0800)),
		udp(4789, []byte{8, 0, 0, 0, 0, 0, 72, 0}, ether(syn4(), 0x0800)), udp(6081, []byte{0, 0, 0x65, 0x58, 0, 0, 5, 0}, ether(syn4(), 0x0800)),
	} {
		f.Add(b, uint16(0))
	}
	f.Fuzz(func(t *testing.T, b []byte, missing uint16) {
		packets, err := readAll(t, little().pcapHeader(0xa1b2c3d4, 4, 101).pcapPacket(5, 0, b, uint32(len(b)+int(missing))).b)
		if err != nil || len(packets) != 1 {
			t.Fatal(err)
		}
		p := &packets[0]
		for depth := 0; p != nil; depth++ {
			if depth > len(b) {
				t.Fatal("tunnels do not end")
			}
			var h packet.Headers
			h.Parse(p.Network, p.NetworkLength)
			if !bytes.Contains(b, p.Network) {
				t.Errorf("packet %x is not in %x", p.Network, b)
			}
			n := p.Notation()
			if len(n.Data) != len(p.Network) {
				t.Errorf("notation of %d bytes of %d", len(n.Data), len(p.Network))
			}
			p, _ = p.Inner()
		}
	})
}
