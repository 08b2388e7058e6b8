package packet_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"syntap/tun/packet"
)

// sumWords is the sum as RFC 1071 §4.1 writes it.
func sumWords(b []byte, initial uint16) uint16 {
	sum := uint32(initial)
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum>>16 != 0 {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}

func TestChecksum(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		b       []byte
		initial uint16
		want    uint16
	}{
		{"empty", nil, 0, 0},
		{"initial only", nil, 0x1234, 0x1234},
		{"RFC 1071 §3", []byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}, 0, 0xddf2},
		{"odd length", []byte{0x01}, 0, 0x0100},
		{"end-around carry", []byte{0xff, 0xff, 0x00, 0x02}, 0, 0x0002},
		{"all ones", []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 0xffff, 0xffff},
	}
	for _, tt := range tests {
		if got := packet.Checksum(tt.b, tt.initial); got != tt.want {
			t.Errorf("%s: Checksum(%x, %#04x) = %#04x, want %#04x", tt.name, tt.b, tt.initial, got, tt.want)
		}
	}
}

func TestChecksumOfEveryLength(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, 300)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	for n := range len(b) {
		initial := uint16(rng.Uint32())
		if got, want := packet.Checksum(b[:n], initial), sumWords(b[:n], initial); got != want {
			t.Errorf("Checksum of %d bytes, initial %#04x = %#04x, want %#04x", n, initial, got, want)
		}
	}
}

func TestChecksumInPieces(t *testing.T) {
	t.Parallel()
	b := []byte("the quick brown fox jumps over the lazy dog, and over the second one too, twice")
	want := packet.Checksum(b, 0)
	for cut := 0; cut <= len(b); cut += 2 {
		if got := packet.Checksum(b[cut:], packet.Checksum(b[:cut], 0)); got != want {
			t.Errorf("sum in two pieces of %d and %d bytes = %#04x, want %#04x", cut, len(b)-cut, got, want)
		}
	}
}

func TestPseudoHeaderSum(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		src, dst []byte
		protocol uint8
		length   int
		header   []byte // the pseudo-header, spelled out
	}{
		{
			"IPv4",
			[]byte{192, 0, 2, 1},
			[]byte{198, 51, 100, 2},
			6, 1300,
			[]byte{192, 0, 2, 1, 198, 51, 100, 2, 0, 6, 0x05, 0x14},
		},
		{
			"IPv6, longer than 16 bits tell",
			[]byte{0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1},
			[]byte{0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2},
			17, 65536 + 7,
			[]byte{
				0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
				0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2,
				0, 1, 0, 7, 0, 0, 0, 17,
			},
		},
	}
	for _, tt := range tests {
		want := sumWords(tt.header, 0)
		if got := packet.PseudoHeaderSum(tt.protocol, tt.src, tt.dst, tt.length); got != want {
			t.Errorf("%s: PseudoHeaderSum = %#04x, want %#04x", tt.name, got, want)
		}
	}
}

func TestUpdateChecksum(t *testing.T) {
	t.Parallel()
	// RFC 1624 §4: the case that the older equation gets wrong.
	if got := packet.UpdateChecksum(0xdd2f, 0x5555, 0x3285); got != 0x0000 {
		t.Errorf("UpdateChecksum(0xdd2f, 0x5555, 0x3285) = %#04x, want 0x0000", got)
	}
	rng := rand.New(rand.NewPCG(3, 4))
	b := make([]byte, 40)
	for range 10000 {
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		before := ^packet.Checksum(b, 0)
		old := uint16(b[6])<<8 | uint16(b[7])
		changed := uint16(rng.Uint32())
		b[6], b[7] = byte(changed>>8), byte(changed)
		if got, want := packet.UpdateChecksum(before, old, changed), ^packet.Checksum(b, 0); got != want {
			t.Fatalf("UpdateChecksum(%#04x, %#04x, %#04x) = %#04x, want %#04x", before, old, changed, got, want)
		}
	}
}

func BenchmarkChecksum(b *testing.B) {
	for _, size := range []int{20, 60, 1460, 65535} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			data := make([]byte, size)
			b.SetBytes(int64(size))
			for b.Loop() {
				packet.Checksum(data, 0)
			}
		})
	}
}
