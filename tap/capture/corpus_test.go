package capture_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/pcapgo"

	"syntap/tap/capture"
)

// Every capture of the corpus reads the same with another reader of the formats.
func TestCorpusLikePcapgo(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("SYNTAP_CORPUS")
	if dir == "" {
		t.Skip("SYNTAP_CORPUS names no corpus of captures")
	}
	paths, err := filepath.Glob(filepath.Join(dir, "*.pcap*"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no capture in %s: %v", dir, err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			packets, err := readAll(t, data)
			if err != nil {
				t.Fatal(err)
			}
			var other gopacket.PacketDataSource
			if bytes.HasPrefix(data, []byte("\n\r\r\n")) {
				other, err = pcapgo.NewNgReader(bytes.NewReader(data), pcapgo.DefaultNgReaderOptions)
			} else {
				other, err = pcapgo.NewReader(bytes.NewReader(data))
			}
			if err != nil {
				t.Fatal(err)
			}
			for i, p := range packets {
				frame, info, err := other.ReadPacketData()
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(p.Frame, frame) || !p.Time.Equal(info.Timestamp) || p.FrameLength != info.Length {
					t.Errorf("packet %d: %d of %d bytes at %v, pcapgo has %d of %d at %v", i+1,
						len(p.Frame), p.FrameLength, p.Time.UTC(), len(frame), info.Length, info.Timestamp)
				}
				if len(p.Network) == 0 {
					t.Errorf("packet %d of link type %d has no network layer", i+1, p.LinkType)
				}
			}
			if _, _, err := other.ReadPacketData(); err != io.EOF {
				t.Errorf("%d packets, pcapgo has more: %v", len(packets), err)
			}
		})
	}
}

func BenchmarkReader(b *testing.B) {
	frame := ether(syn4(), 0x8100, 1, 0x0800)
	f := little().pcapHeader(0xa1b23c4d, 4, uint32(capture.LinkTypeEthernet))
	for range 1000 {
		f.pcapPacket(1700000000, 0, frame, uint32(len(frame)))
	}
	b.ReportAllocs()
	start := time.Now()
	n := 0
	for b.Loop() {
		r, err := capture.NewReader(bytes.NewReader(f.b))
		if err != nil {
			b.Fatal(err)
		}
		for {
			if _, err := r.Next(); err == io.EOF {
				break
			} else if err != nil {
				b.Fatal(err)
			}
			n++
		}
	}
	b.ReportMetric(float64(time.Since(start).Nanoseconds())/float64(n), "ns/packet")
}
