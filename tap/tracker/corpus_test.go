package tracker_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/pcapgo"

	"syntap/tap/handshake"
	"syntap/tap/taptest"
	"syntap/tap/tcpdump"
	"syntap/tap/tracker"
)

// corpusExempt are captures whose streams exist only after reassembly, which neither tcpdump nor
// the tap does.
var corpusExempt = map[string]bool{"e02-frag-tiny": true}

// TestCorpus compares the verdict on every stream of the corpus with the reference judge's.
func TestCorpus(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("SYNTAP_CORPUS")
	if dir == "" {
		t.Skip("SYNTAP_CORPUS does not name the corpus of captures")
	}
	for capture, want := range readVerdicts(t, filepath.Join(dir, "VERDICTS.tsv")) {
		if corpusExempt[capture] {
			continue
		}
		t.Run(capture, func(t *testing.T) {
			t.Parallel()
			var rec taptest.Recorder
			tr := tracker.New(rec.Options())
			for at, p := range readCapture(t, dir, capture) {
				tr.Observe(at, &p)
			}
			tr.Flush()
			got := map[string]int{}
			for _, r := range rec.Records {
				got[string(r.Outcome)]++
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("outcomes (-want +got):\n%s", diff)
			}
			shown := 0
			for _, r := range rec.Records {
				shown += len(r.Segments)
			}
			if shown != len(rec.Segments) {
				t.Errorf("records hold %d segments, %d were shown as they passed", shown, len(rec.Segments))
			}
		})
	}
}

// readVerdicts returns the judge's outcomes of each capture, counted.
func readVerdicts(t *testing.T, name string) map[string]map[string]int {
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	words := map[string]handshake.Outcome{
		"COMPLETE": handshake.Established, "REFUSED": handshake.Refused, "ABORTED": handshake.Aborted, "NO-REPLY": handshake.NoReply, "HALF-OPEN": handshake.HalfOpen,
	}
	verdicts := map[string]map[string]int{}
	for line := range strings.Lines(string(b)) {
		f := strings.Split(line, "\t")
		if len(f) < 9 || f[0] == "capture" {
			continue
		}
		m := verdicts[f[0]]
		if m == nil {
			m = map[string]int{}
			verdicts[f[0]] = m
		}
		for judged := range strings.SplitSeq(f[8], " / ") { // "A / B": both handshakes of a stream that tshark cuts in two
			word, _, _ := strings.Cut(judged, " ")
			if o, ok := words[word]; ok {
				m[string(o)]++
			} else if judged != "no SYN seen" && judged != "(see above)" {
				t.Fatalf("%s: the judge says %q", f[0], judged)
			}
		}
	}
	return verdicts
}

// readCapture yields the IP packets of a capture.
func readCapture(t *testing.T, dir, capture string) func(yield func(time.Time, tcpdump.Packet) bool) {
	names, err := filepath.Glob(filepath.Join(dir, capture+".pcap*"))
	if err != nil || len(names) != 1 {
		t.Fatalf("captures named %s: %v %v", capture, names, err)
	}
	b, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	read, linkType, err := captureReader(b)
	if err != nil {
		t.Fatalf("%s: %v", names[0], err)
	}
	return func(yield func(time.Time, tcpdump.Packet) bool) {
		for {
			frame, ci, err := read()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				t.Fatalf("%s: %v", names[0], err)
			}
			p, ok := decodeLink(linkType, frame, ci.Length)
			if ok && !yield(ci.Timestamp, p) {
				return
			}
		}
	}
}

func captureReader(b []byte) (read func() ([]byte, gopacket.CaptureInfo, error), linkType int, err error) {
	r := bufio.NewReader(bytes.NewReader(b))
	if binary.BigEndian.Uint32(b) == 0x0a0d0d0a {
		ng, err := pcapgo.NewNgReader(r, pcapgo.DefaultNgReaderOptions)
		if err != nil {
			return nil, 0, fmt.Errorf("read pcapng: %w", err)
		}
		return ng.ReadPacketData, int(ng.LinkType()), nil
	}
	pc, err := pcapgo.NewReader(r)
	if err != nil {
		return nil, 0, fmt.Errorf("read pcap: %w", err)
	}
	return pc.ReadPacketData, int(pc.LinkType()), nil
}

// decodeLink finds the IP packet in a frame of Ethernet, Linux cooked or raw IP.
func decodeLink(linkType int, b []byte, length int) (p tcpdump.Packet, ok bool) {
	skip := 0
	switch linkType {
	case 1, 113:
		skip = map[int]int{1: 14, 113: 16}[linkType]
		if len(b) < skip {
			return p, false
		}
		p.EtherType = binary.BigEndian.Uint16(b[skip-2:])
		for p.EtherType == 0x8100 && len(b) >= skip+4 {
			p.VLANs = append(p.VLANs, binary.BigEndian.Uint16(b[skip:]))
			skip += 4
			p.EtherType = binary.BigEndian.Uint16(b[skip-2:])
		}
		if p.EtherType != 0x0800 && p.EtherType != 0x86dd {
			return p, false
		}
	case 101:
	default:
		panic(fmt.Sprintf("tap test: link type %d", linkType))
	}
	p.Data, p.Length = b[skip:], length-skip
	return p, true
}
