package tcpdump

import (
	"bytes"
	"testing"
)

// lineTest has the line of a packet as both releases wrote it, but for bytes read from behind the
// capture.
type lineTest struct {
	name            string
	p               *Packet
	classic, modern string
}

func TestAppend(t *testing.T) {
	t.Parallel()
	for _, group := range [][]lineTest{headerTests(), tunnelTests(), extensionTests()} {
		for _, tt := range group {
			for d, want := range [...]string{Classic: tt.classic, Modern: tt.modern} {
				if got := string(Append([]byte("> "), Dialect(d), tt.p)); got != "> "+want {
					t.Errorf("%s: Append(%v, % x)\n got %q\nwant %q", tt.name, Dialect(d), tt.p.Data, got[2:], want)
				}
			}
		}
	}
}

// TestAppendBound makes lines that would be longer than the limit.
func TestAppendBound(t *testing.T) {
	t.Parallel()
	tunnels := ip4(protoTCP, syn())
	for len(tunnels) < 60000 {
		tunnels = ip4(protoIPv4, tunnels)
	}
	headers := syn()
	for range 7000 {
		headers = append([]byte{protoDstOpts, 0, 1, 4, 0, 0, 0, 0}, headers...)
	}
	addresses := bytes.Repeat([]byte{0x20}, 8+127*16)
	copy(addresses, []byte{protoTCP, 254, 0, 0, 0, 0, 0, 0})
	for name, b := range map[string][]byte{
		"tunnels":   tunnels,
		"headers":   ip6(protoDstOpts, headers),
		"addresses": ip6(protoRouting, append(addresses, syn()...)),
	} {
		for _, d := range []Dialect{Classic, Modern} {
			if got := Append(nil, d, packet(b)); len(got) != maxLine {
				t.Errorf("%s: %v line of %d bytes, want %d", name, d, len(got), maxLine)
			}
		}
	}
}

func TestIsTCP(t *testing.T) {
	t.Parallel()
	later := with(ip4(protoTCP, syn()), 6, 0, 10)
	for _, tt := range []struct {
		name            string
		p               *Packet
		classic, modern bool
	}{
		{"SYN", packet(ip4(protoTCP, syn())), true, true},
		{"no TCP captured", cut(ip4(protoTCP, syn()), 20), true, true},
		{"fragment", packet(later), true, true},
		{"IPv6 fragment", packet(ip6(protoFragment, []byte{protoTCP, 0, 0, 8, 0, 0, 0, 7, 1})), true, true},
		{"in a tunnel", packet(ip4(protoIPv6, ip6(protoTCP, syn()))), true, true},
		{"UDP", packet(ip4(17, syn())), false, false},
		{"fragment of UDP", packet(with(ip4(17, syn()), 6, 0, 10)), false, false},
		{"IP header cut", cut(ip4(protoTCP, syn()), 21), false, false},
		{"total length 0", packet(with(ip4(protoTCP, syn()), 2, 0, 0)), true, false},
		{"IHL 4", packet(with(ip4(protoTCP, syn()), 0, 0x44)), false, false},
	} {
		if classic, modern := IsTCP(Classic, tt.p), IsTCP(Modern, tt.p); classic != tt.classic || modern != tt.modern {
			t.Errorf("%s: IsTCP = %v in Classic, %v in Modern; want %v, %v", tt.name, classic, modern, tt.classic, tt.modern)
		}
	}
}

// linuxSYN is a SYN of Linux.
func linuxSYN() *Packet {
	return packet(with(ip4(protoTCP, syn(2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 100, 0, 0, 0, 0, 1, 3, 3, 7)), 6, 0x40))
}

func TestAppendAllocs(t *testing.T) {
	buf := make([]byte, 0, 2*maxLine)
	for _, p := range []*Packet{linuxSYN(), packet(ip6(protoTCP, syn())), packet(ip4(protoIPv4, ip4(protoTCP, ack())))} {
		for _, d := range []Dialect{Classic, Modern} {
			if n := testing.AllocsPerRun(100, func() { buf = Append(buf[:0], d, p) }); n != 0 {
				t.Errorf("Append of %s allocates %v times", buf, n)
			}
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	p := linuxSYN()
	buf := make([]byte, 0, maxLine)
	for _, d := range []Dialect{Classic, Modern} {
		b.Run(d.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				buf = Append(buf[:0], d, p)
			}
		})
	}
}
