package capture_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"syntap/tap/capture"
	"syntap/tap/tcpdump"
)

// TestLikeTcpdump compares the lines of frames of each link layer with those of the tcpdump that is
// installed, if that is a 4.99.
func TestLikeTcpdump(t *testing.T) {
	t.Parallel()
	version, _ := exec.Command("tcpdump", "--version").CombinedOutput()
	if !strings.Contains(string(version), "tcpdump version 4.99.") {
		t.Skip("no tcpdump 4.99 is installed")
	}
	v4, v6 := syn4(), syn6()
	frames := map[uint32][][]byte{
		1: {
			ether(v4, 0x8100, 100, 0x8864, 0x1100, 7, 42, 0x0021),
			ether(v6, 0x8864, 0x1100, 0, 62, 0x0057),
			ether(append(slices.Clone(v4), make([]byte, 6)...), 0x8864, 0x1100, 7, 42, 0x0021),
			ether(v4, 0x8864, 0x1100, 7, 30, 0x0021), // shorter than the packet
			ether(v4, 0x8864, 0x1100, 7, 46, 0x0281, 1, 0x0140),
			ether(v4, 0x88a8, 5, 0x8100, 6, 0x8847, 1, 0x0140),
		},
		101: {
			through4(47, gre(0, 0x6558), ether(v4, 0x0800)), through4(47, gre(0x3000, 0x6558), ether(v6, 0x88a8, 1, 0x8100, 2, 0x86dd)),
			through6(47, gre(0xb000, 0x6558), ether(v4, 0x8100, 3, 0x0800)),
		},
		9: {
			append([]byte{0xff, 3, 2, 0x81, 0x18, 0x93, 1, 0xff}, v4...), append([]byte{0xff, 3, 2, 0x83, 0, 1, 1, 64}, v6...),
			append([]byte{1, 3, 0, 0x21}, v4...), append([]byte{0, 3, 0, 0x57}, v6...),
		},
		50: {
			append([]byte{0xff, 3, 0, 0x21}, v4...), append([]byte{0xff, 3, 0, 0x57}, v6...),
			append([]byte{0xff, 3, 2, 0x81, 0, 1, 1, 64}, v4...), append([]byte{0x0f, 0, 8, 0}, v4...),
			append([]byte{0x8f, 0, 0x88, 0x47, 0, 1, 1, 64}, v6...),
		},
		51:  {append([]byte{0x11, 0, 0, 7, 0, 42, 0, 0x21}, v4...)},
		104: {append([]byte{0x0f, 0, 8, 0}, v4...), append([]byte{0x8f, 0, 0x86, 0xdd}, v6...)},
		105: {wifi(0x0108, v4), wifi(0x0388, v4), wifi(0x0008, v4)},
		117: {append(pflog(2), v4...), append(pflog(24), v6...), append(pflog(30), v6...)},
		119: {append(make([]byte, 144), wifi(0x0108, v4)...)},
		163: {append([]byte{0x80, 0x21, 0x10, 2, 0, 0, 0, 8}, wifi(0x0108, v4)...)},
		127: radiotapFrames(),
		239: {nflog(2, v4), nflog(10, v6)},
		10:  {fddi(v4, 0x0800), fddi(v6, 0x86dd)},
		107: {
			slices.Concat([]byte{0x18, 0x41, 3, 0xcc}, v4), slices.Concat([]byte{0x18, 0x41, 3, 0x8e}, v6),
			slices.Concat([]byte{0x18, 0x41, 3, 0, 0xcc}, v4), slices.Concat([]byte{0x18, 0x40, 0x41, 3, 0xcc}, v4),
			slices.Concat([]byte{0x18, 0x41, 3, 0, 0x80, 0, 0, 0, 8, 0}, v4), slices.Concat([]byte{0x18, 0x41, 8, 0}, v4),
			slices.Concat([]byte{0x18, 0x40, 0x40, 0x41, 0x86, 0xdd}, v6),
		},
		192: {
			slices.Concat(ppi(105), wifi(0x0108, v4)), slices.Concat(ppi(1), ether(v4, 0x0800)), slices.Concat(ppi(12), v6),
			slices.Concat(ppi(9), []byte{0xff, 3, 0, 0x21}, v4),
		},
		242: {slices.Concat(make([]byte, 40), []byte{8, 0, 0, 0}, v4), slices.Concat(make([]byte, 40), []byte{0x86, 0xdd, 0, 0}, v6)},
		258: {
			slices.Concat(pktap(1, 1), ether(v4, 0x8100, 7, 0x0800)), slices.Concat(pktap(1, 12), v4),
			slices.Concat(pktap(1, 0), []byte{30, 0, 0, 0}, v6),
		},
		281: nil,
		282: {slices.Concat([]byte{0x20, 0, 0, 1}, ether(v4, 0x0800)), slices.Concat([]byte{0, 0, 0, 1}, ether(v6, 0x8100, 7, 0x86dd))},
		284: nil,
		285: nil,
	}
	for mode := range byte(4) {
		for _, flags := range []byte{0, 0x24} {
			dsa := []byte{mode<<6 | flags&0x20 | 3, 5<<3 | flags&4, 0x60 | 1, 0x23}
			frames[284] = append(frames[284], tag(ether(v4, 0x0800), dsa...), tag(ether(v6, 0x8100, 9, 0x86dd), dsa...))
			frames[285] = append(frames[285], tag(ether(v4, 0x0800), append([]byte{0xda, 0xda, 0, 0}, dsa...)...))
		}
	}
	for op := range byte(8) {
		for bit := range byte(8) {
			brcm := []byte{op << 5, 0x91 << bit, 1<<bit | op>>2, 1 << bit}
			frames[281] = append(frames[281], tag(ether(v4, 0x0800), brcm...), tag(ether(v6, 0x8100, 9, 0x86dd), brcm...))
		}
	}
	frames[281] = append(frames[281], tag(ether(v4, 0x0800), 0, 0, 0, 0), tag(ether(v4, 0x0800), 0, 255, 255, 255), tag(ether(v4, 0x0800), 0x20, 255, 255, 255))
	for link, all := range frames {
		t.Run(fmt.Sprint(link), func(t *testing.T) {
			t.Parallel()
			compareWithTcpdump(t, link, all)
		})
	}
}

func compareWithTcpdump(t *testing.T, link uint32, frames [][]byte) {
	f := little().pcapHeader(0xa1b2c3d4, 4, link)
	for _, frame := range frames {
		f.pcapPacket(1700000000, 0, frame, uint32(len(frame)))
	}
	name := filepath.Join(t.TempDir(), "frames.pcap")
	if err := os.WriteFile(name, f.b, 0o600); err != nil {
		t.Fatal(err)
	}
	want, err := exec.Command("tcpdump", "-n", "-S", "-t", "-r", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	r, err := capture.NewReader(bytes.NewReader(f.b))
	if err != nil {
		t.Fatal(err)
	}
	var got []byte
	for {
		p, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		n := p.Notation()
		got = append(tcpdump.Append(got, tcpdump.Modern, &n), '\n')
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(string(got), "\n")); diff != "" {
		t.Errorf("lines of %d frames (-tcpdump +got):\n%s", len(frames), diff)
	}
}

// radiotapFrames returns a frame with each of radiotap's fields, some with many values, and some
// with bitmaps that are extended, or of a vendor.
func radiotapFrames() (frames [][]byte) {
	add := func(header []byte, words ...uint32) {
		var b []byte
		for i, w := range words {
			if i < len(words)-1 {
				w |= 1 << 31
			}
			b = binary.LittleEndian.AppendUint32(b, w)
		}
		b = append(b, header...)
		head := binary.LittleEndian.AppendUint16([]byte{0, 0}, uint16(4+len(b)))
		frames = append(frames, slices.Concat(head, b, wifi(0x0108, syn4())))
	}
	value := []byte{0x81, 0x92, 0x03, 0xf4, 0x15, 0x06, 0x07, 0xa8, 0x29, 0x0a, 0x0b, 0x0c}
	for _, field := range []int{0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 18, 20, 21} {
		add(value, 1<<field)
	}
	for _, width := range []byte{0, 1, 4, 31} {
		add([]byte{0x44, 0, 4, width, 0x91, 0x22, 0, 0x10, 2, 0, 0, 0}, 1<<21)
	}
	for _, flags := range []byte{0x01, 0x02, 0x4c, 0x0f} {
		add([]byte{flags}, 1<<1)
	}
	for rate := range byte(3) {
		add([]byte{0x7f + rate*17}, 1<<2)
	}
	for bit := range 16 {
		one := uint16(1) << bit
		add([]byte{0x6c, 9, byte(one), byte(one >> 8)}, 1<<3)
		add([]byte{0x6c, 9, byte(one | 0xc0), byte(one>>8 | 1)}, 1<<3)
	}
	for index := range byte(78) {
		add([]byte{0xff, index << 1 & 0xff, index}, 1<<19)
		add([]byte{0x7f, 1, index}, 1<<19)
		add([]byte{0x7f, 5, index}, 1<<19)
	}
	add([]byte{0x02, 5, 3}, 1<<19)
	add([]byte{0x6c, 9, 0xa0, 0, 0x7f, 0, 7}, 1<<3|1<<19)
	add([]byte{0, 0, 7, 0, 0x6c, 9, 1, 2}, 1<<18)
	add([]byte{1, 0xd8}, 1<<11|1<<29, 1<<5) // the namespace begins again
	add([]byte{1, 0xd8}, 1<<11, 1<<5)       // fields from 32 on: unknown
	add([]byte{1, 0, 0, 0x11, 0x22, 0, 2, 0, 9, 9, 7}, 1<<11|1<<30, 1<<29, 1<<11)
	add(nil, 1<<15)
	add([]byte{1}, 1<<0)
	return frames
}
