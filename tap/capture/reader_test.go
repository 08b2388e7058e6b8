package capture_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"syntap/tap/capture"
)

func TestReaderFormats(t *testing.T) {
	t.Parallel()
	frame := ether(syn4(), 0x0800)
	wire := uint32(len(frame))
	short := frame[:40]
	resolution := func(r byte) []any { return []any{uint16(9), uint16(1), []byte{r, 0, 0, 0}, uint16(0), uint16(0)} }
	ng := func(r byte, stamp uint64) *file {
		return little().section().iface(1, 0, resolution(r)...).enhanced(0, stamp, frame, wire)
	}
	at := func(s, ns int64) time.Time { return time.Unix(s, ns) }
	type packet struct {
		Time   time.Time
		Link   capture.LinkType
		Frame  []byte
		Length int
	}
	whole := func(when time.Time) packet { return packet{when, 1, frame, len(frame)} }

	tests := []struct {
		name string
		in   *file
		want []packet
	}{
		{"pcap without packets", little().pcapHeader(0xa1b2c3d4, 4, 1), nil},
		{"pcap little endian", little().pcapHeader(0xa1b2c3d4, 4, 1).pcapPacket(1700000000, 125, frame, wire), []packet{whole(at(1700000000, 125000))}},
		{"pcap big endian", big().pcapHeader(0xa1b2c3d4, 4, 1).pcapPacket(1700000000, 125, frame, wire), []packet{whole(at(1700000000, 125000))}},
		{"pcap nanoseconds", big().pcapHeader(0xa1b23c4d, 4, 1).pcapPacket(1700000000, 125, frame, wire), []packet{whole(at(1700000000, 125))}},
		{"pcap microseconds over a second", little().pcapHeader(0xa1b2c3d4, 4, 1).pcapPacket(1, 4294967295, frame, wire), []packet{whole(at(4295, 967295000))}},
		{"pcap of the last second", little().pcapHeader(0xa1b2c3d4, 4, 1).pcapPacket(4294967295, 999999, frame, wire), []packet{whole(at(4294967295, 999999000))}},
		{"pcap with Kuznetzov's packet header", little().pcapHeader(0xa1b2cd34, 4, 1).put(uint32(7), uint32(8), wire, wire, uint64(0), frame), []packet{whole(at(7, 8000))}},
		{"pcap link type with FCS length", little().pcapHeader(0xa1b2c3d4, 4, 0x24000001).pcapPacket(1, 0, frame, wire), []packet{whole(at(1, 0))}},
		{"pcap 2.3 with swapped lengths", little().pcapHeader(0xa1b2c3d4, 3, 1).put(uint32(1), uint32(0), uint32(1500), uint32(len(short)), short), []packet{{at(1, 0), 1, short, 1500}}},
		{"pcap cut by the snap length", little().pcapHeader(0xa1b2c3d4, 4, 1).pcapPacket(1, 0, short, 1500), []packet{{at(1, 0), 1, short, 1500}}},
		{"pcap with wire length 0", little().pcapHeader(0xa1b2c3d4, 4, 1).pcapPacket(1, 0, frame, 0), []packet{whole(at(1, 0))}},
		{"pcap with captured length 0", little().pcapHeader(0xa1b2c3d4, 4, 1).pcapPacket(1, 0, nil, 60).pcapPacket(2, 0, frame, wire), []packet{{at(1, 0), 1, []byte{}, 60}, whole(at(2, 0))}},
		{"pcapng of a section only", little().section(), nil},
		{"pcapng without resolution", little().section().iface(1, 0).enhanced(0, 1700000000_000125, frame, wire), []packet{whole(at(1700000000, 125000))}},
		{"pcapng big endian", big().section().iface(1, 0).enhanced(0, 1700000000_000125, frame, wire), []packet{whole(at(1700000000, 125000))}},
		{"pcapng seconds", ng(0, 1700000000), []packet{whole(at(1700000000, 0))}},
		{"pcapng nanoseconds", ng(9, 1700000000_000000125), []packet{whole(at(1700000000, 125))}},
		{"pcapng picoseconds", ng(12, 1700000_000000125999), []packet{whole(at(1700000, 125))}},
		{"pcapng 10^-19", ng(19, 12500000000), []packet{whole(at(0, 1))}},
		{"pcapng 2^-10", ng(0x8a, 5<<10|1023), []packet{whole(at(5, 999023437))}},
		{"pcapng 2^-32", ng(0xa0, 1700000000<<32|1<<31), []packet{whole(at(1700000000, 500000000))}},
		{"pcapng time offset", little().section().
			iface(1, 0, uint16(14), uint16(8), uint64(1700000000)).enhanced(0, 125, frame, wire), []packet{whole(at(1700000000, 125000))}},
		{"pcapng negative time offset", little().section().
			iface(1, 0, uint16(14), uint16(8), ^uint64(9)).enhanced(0, 60_000000, frame, wire), []packet{whole(at(50, 0))}},
		{"pcapng several interfaces", little().section().iface(1, 0).iface(101, 0, resolution(9)...).
			enhanced(1, 5, syn4(), 40).enhanced(0, 5, frame, wire), []packet{{at(0, 5), 101, syn4(), 40}, whole(at(0, 5000))}},
		{"pcapng several sections", little().section().iface(101, 0).enhanced(0, 5, syn4(), 40).
			section().iface(1, 0).enhanced(0, 6, frame, wire), []packet{{at(0, 5000), 101, syn4(), 40}, whole(at(0, 6000))}},
		{"pcapng section in the other order", little().section().iface(101, 0).enhanced(0, 5, syn4(), 40).
			put(big().section().iface(1, 0).enhanced(0, 6, frame, wire).b), []packet{{at(0, 5000), 101, syn4(), 40}, whole(at(0, 6000))}},
		{"pcapng simple packet", little().section().iface(1, 0).block(3, wire, frame), []packet{whole(at(0, 0))}},
		{"pcapng simple packet cut by the snap length", little().section().iface(1, 40).block(3, uint32(1500), short), []packet{{at(0, 0), 1, short, 1500}}},
		{"pcapng simple packet cut by its block", little().section().iface(1, 0).block(3, uint32(1500), short), []packet{{at(0, 0), 1, short, 1500}}},
		{"pcapng obsolete packet block", little().section().iface(1, 0).
			block(2, uint16(0), uint16(9), uint32(0), uint32(5), wire, wire, frame), []packet{whole(at(0, 5000))}},
		{"pcapng blocks without packets", little().section().block(5, uint32(0)).iface(1, 0).block(0x0bad, make([]byte, 70000)).
			enhanced(0, 5, frame, wire).block(5, uint32(0)), []packet{whole(at(0, 5000))}},
		{"pcapng packet options", little().section().iface(1, 0).
			block(6, uint32(0), uint32(0), uint32(5), uint32(40), wire, short, uint16(1), uint16(2), []byte("hi\x00\x00"), uint32(0)), []packet{{at(0, 5000), 1, short, len(frame)}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			packets, err := readAll(t, tt.in.b)
			if err != nil {
				t.Fatal(err)
			}
			var got []packet
			for _, p := range packets {
				got = append(got, packet{p.Time, p.LinkType, append([]byte{}, p.Frame...), p.FrameLength})
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("packets (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReaderRefuses(t *testing.T) {
	t.Parallel()
	frame := ether(syn4(), 0x0800)
	head := func() *file { return little().pcapHeader(0xa1b2c3d4, 4, 1) }
	ng := func() *file { return little().section().iface(1, 0) }
	tests := []struct {
		name string
		in   []byte
		want string
	}{
		{"empty file", nil, "read capture: the file ends before its first 4 bytes"},
		{"three bytes", []byte{1, 2, 3}, "read capture: the file ends before its first 4 bytes"},
		{"text", []byte(strings.Repeat("no capture\n", 9)), "read capture: neither pcap nor pcapng: it begins with 6e 6f 20 63"},
		{"pcap head cut", head().b[:23], "read capture: the file is cut short: unexpected EOF"},
		{"pcap version", little().put(uint32(0xa1b2c3d4), uint16(3), uint16(0), make([]byte, 16)).b, "read capture: pcap version 3.0 is not supported (supported: 2.x)"},
		{"huge captured length", head().put(uint32(0), uint32(0), ^uint32(0), ^uint32(0)).b, "read packet 1 at offset 24: captured length 4294967295 is over the limit of 262144"},
		{"packet cut", head().pcapPacket(0, 0, frame, 54).pcapPacket(0, 0, frame, 54).b[:24+70+16+53], "read packet 2 at offset 94: the file is cut short: unexpected EOF"},
		{"link type", little().pcapHeader(0xa1b2c3d4, 4, 147).pcapPacket(0, 0, frame, 54).b, "read packet 1 at offset 24: link type 147 is not supported (supported: " +
			"1 Ethernet, 12, 14 and 101 raw IP, 228 IPv4, 229 IPv6, 113 and 276 Linux cooked, 0 and 108 BSD loopback, " +
			"9 and 50 PPP, 51 PPPoE, 104 Cisco HDLC, 105, 119, 127 and 163 802.11, 117 PFLOG, 239 NFLOG, 281 and 282 Broadcom tags, 284 and 285 DSA, " +
			"10 FDDI, 107 Frame Relay, 192 PPI, 242 IPoIB, 149 and 258 PKTAP)"},
		{"section byte order", []byte("\n\r\r\n\x1c\x00\x00\x00abcd" + strings.Repeat("\x00", 16)), "read packet 1 at offset 0: section has the unknown byte-order magic 61 62 63 64"},
		{"section version", little().block(0x0a0d0d0a, uint32(0x1a2b3c4d), uint16(2), uint16(0), ^uint64(0)).b, "read packet 1 at offset 0: pcapng version 2.0 is not supported (supported: 1.x)"},
		{"block too short", ng().put(uint32(6), uint32(8)).b, "read packet 1 at offset 48: block length 8 is not possible"},
		{"block length odd", ng().put(uint32(6), uint32(33)).b, "read packet 1 at offset 48: block length 33 is not possible"},
		{"block lengths differ", ng().put(uint32(5), uint32(12), uint32(16)).b, "read packet 1 at offset 48: block length is 12 in front and 16 behind"},
		{"block beyond the file", ng().put(uint32(0x0bad), ^uint32(3)).b, "read packet 1 at offset 48: the file is cut short: unexpected EOF"},
		{"interface too short", little().section().block(1, uint32(1)).b, "read packet 1 at offset 28: block of 16 bytes is too short for its content"},
		{"option beyond its block", little().section().iface(1, 0, uint16(2), uint16(9)).b, "read packet 1 at offset 28: block of 24 bytes is too short for its content"},
		{"resolution 10^-20", little().section().iface(1, 0, uint16(9), uint16(1), []byte{20, 0, 0, 0}).b, "read packet 1 at offset 28: time resolution 10^-20 is too fine"},
		{"resolution 2^-64", little().section().iface(1, 0, uint16(9), uint16(1), []byte{0xc0, 0, 0, 0}).b, "read packet 1 at offset 28: time resolution 2^-64 is too fine"},
		{"no interface", little().section().enhanced(0, 0, frame, 54).b, "read packet 1 at offset 28: packet before the first interface description"},
		{"unknown interface", ng().enhanced(0, 0, frame, 54).enhanced(1, 0, frame, 54).b, "read packet 2 at offset 136: packet of interface 1 in a section with 1"},
		{"interfaces end with their section", ng().section().enhanced(0, 0, frame, 54).b, "read packet 1 at offset 76: packet before the first interface description"},
		{"captured length beyond the block", ng().block(6, uint32(0), uint64(0), uint32(99), uint32(99), frame).b, "read packet 1 at offset 48: captured length 99 is over the 56 bytes of its block"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := readAll(t, tt.in); fmt.Sprint(err) != tt.want {
				t.Errorf("error = %v\nwant    %s", err, tt.want)
			}
		})
	}
}

// A file cut anywhere gives its whole packets, and then an error unless the cut is between two
// records.
func TestReaderCutAnywhere(t *testing.T) {
	t.Parallel()
	frame := ether(syn4(), 0x0800)
	pcap := little().pcapHeader(0xa1b2c3d4, 4, 1)
	pcapEnds := []int{len(pcap.b)}
	ng := little().section()
	ngEnds := []int{len(ng.b)} // of blocks
	ng.iface(1, 0)
	ngEnds = append(ngEnds, len(ng.b))
	for range 3 {
		pcapEnds = append(pcapEnds, len(pcap.pcapPacket(1, 2, frame, 54).b))
		ngEnds = append(ngEnds, len(ng.enhanced(0, 0, frame, 54).b))
	}
	for _, f := range []struct {
		name  string
		data  []byte
		ends  []int // of records
		heads int   // records in front of the first packet
	}{{"pcap", pcap.b, pcapEnds, 1}, {"pcapng", ng.b, ngEnds, 2}} {
		for cut := 4; cut <= len(f.data); cut++ {
			whole, clean := 0, false
			for _, end := range f.ends {
				if end <= cut {
					whole++
				}
				clean = clean || end == cut
			}
			packets, err := readAll(t, f.data[:cut])
			if want := max(0, whole-f.heads); len(packets) != want {
				t.Errorf("%s cut at %d: %d packets, want %d", f.name, cut, len(packets), want)
			}
			if (err == nil) != clean || err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s cut at %d: error = %v, record ends there: %t", f.name, cut, err, clean)
			}
		}
	}
}

// An error is final: no packet comes after it.
func TestReaderErrorIsFinal(t *testing.T) {
	t.Parallel()
	data := little().pcapHeader(0xa1b2c3d4, 4, 147).pcapPacket(0, 0, []byte{1}, 1).pcapPacket(0, 0, []byte{1}, 1).b
	r, err := capture.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	_, first := r.Next()
	_, second := r.Next()
	var link capture.LinkTypeError
	if !errors.As(first, &link) || link != 147 {
		t.Errorf("first error = %v, want LinkTypeError 147", first)
	}
	if second != first {
		t.Errorf("second error = %v, want the first again", second)
	}
}

// Length fields of a hostile file must not be believed before the bytes have come.
func TestReaderMemory(t *testing.T) {
	hostile := map[string][]byte{
		"pcap":         little().pcapHeader(0xa1b2c3d4, 4, 1).put(uint32(0), uint32(0), ^uint32(0), ^uint32(0)).b,
		"pcap snaplen": little().put(uint32(0xa1b2c3d4), uint16(2), uint16(4), uint64(0), ^uint32(0), uint32(1)).pcapPacket(0, 0, nil, 0).b,
		"packet block": little().section().iface(1, 0).put(uint32(6), ^uint32(3), uint32(0), uint64(0), ^uint32(0), ^uint32(0)).b,
		"other block":  little().section().iface(1, 0).put(uint32(99), ^uint32(3)).b,
		"option":       little().section().put(uint32(1), ^uint32(3), uint64(1), uint16(2), ^uint16(0)).b,
	}
	for name, data := range hostile {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := readAll(t, data)
		runtime.ReadMemStats(&after)
		if err == nil && name != "pcap snaplen" {
			t.Errorf("%s: no error", name)
		}
		if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
			t.Errorf("%s: %d bytes allocated", name, got)
		}
	}
}
