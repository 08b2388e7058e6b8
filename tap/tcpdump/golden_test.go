package tcpdump

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

var update = flag.Bool("update", false, "rewrite the expected texts in testdata")

// goldens are the texts beside each capture: NAME.classic.txt and so on.
var goldens = [...]struct {
	suffix  string
	printer Printer
}{
	{"classic", Printer{Dialect: Classic}},
	{"classic-rel", Printer{Dialect: Classic, Relative: true}},
	{"modern", Printer{Dialect: Modern}},
	{"modern-rel", Printer{Dialect: Modern, Relative: true}},
	{"modern-tttt", Printer{Dialect: Modern, Timestamp: Date, Location: time.UTC}},
}

// TestGolden compares the lines of whole captures with those of the releases: a small set in
// testdata, and the one that SYNTAP_CORPUS names.
func TestGolden(t *testing.T) {
	t.Parallel()
	compareDir(t, "testdata", *update)
}

func TestCorpus(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("SYNTAP_CORPUS")
	if dir == "" {
		t.Skip("SYNTAP_CORPUS does not name a directory of captures")
	}
	if !filepath.IsAbs(dir) {
		dir = filepath.Join("..", "..", dir) // from the module's root
	}
	compareDir(t, dir, false)
}

func compareDir(t *testing.T, dir string, update bool) {
	captures, err := filepath.Glob(filepath.Join(dir, "*.pcap"))
	if err != nil || len(captures) == 0 {
		t.Fatalf("find captures in %s: %v, %d files", dir, err, len(captures))
	}
	allowed := readDifferences(t)
	for _, capture := range captures {
		name := strings.TrimSuffix(capture, ".pcap")
		frames, err := readCapture(capture)
		if errors.Is(err, errLinkType) {
			t.Logf("%s: %v", capture, err)
			continue
		}
		if err != nil {
			t.Fatalf("read %s: %v", capture, err)
		}
		for _, g := range goldens {
			printer := g.printer
			c := comparison{
				file:    name + "." + g.suffix + ".txt",
				allowed: allowed[difference{filepath.Base(name), g.printer.Dialect.String()}],
			}
			text := c.lines(t, &printer, frames)
			if update {
				if err := os.WriteFile(c.file, text, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if c.allowed != "" && !c.used {
				t.Errorf("testdata/DIFFERENCES: %s does not need the entry %q", c.file, c.allowed)
			}
		}
	}
}

// comparison compares the frames of a capture with the lines in file.
type comparison struct {
	file    string
	allowed string // the text that may be missing
	used    bool   // it was
}

var looksTCP = regexp.MustCompile(`Flags \[| win \d`)

// lines reports differences and returns the right text.
func (c *comparison) lines(t *testing.T, printer *Printer, frames []frame) []byte {
	text, err := os.ReadFile(c.file)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if len(want) != len(frames) {
		t.Fatalf("%s has %d lines for %d packets", c.file, len(want), len(frames))
	}
	var result bytes.Buffer
	for i, f := range frames {
		got := string(printer.Append(nil, f.time, &f.packet))
		switch {
		case got == want[i]:
		case !IsTCP(printer.Dialect, &f.packet) && !looksTCP.MatchString(want[i]):
			got = want[i]
		case c.allowed != "" && got == strings.Replace(want[i], c.allowed, "", 1):
			c.used = true
			got = want[i]
		default:
			t.Errorf("%s:%d\n got %q\nwant %q", c.file, i+1, got, want[i])
		}
		fmt.Fprintln(&result, got)
	}
	return result.Bytes()
}

// difference is the key of an entry in testdata/DIFFERENCES.
type difference struct{ capture, dialect string }

// readDifferences returns the texts that may be missing.
func readDifferences(t *testing.T) map[difference]string {
	f, err := os.Open("testdata/DIFFERENCES")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	allowed := make(map[difference]string)
	for s := bufio.NewScanner(f); s.Scan(); {
		line := s.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		field := strings.Split(line, "\t")
		if len(field) != 4 {
			t.Fatalf("testdata/DIFFERENCES: want capture, dialect, reason and text in %q", line)
		}
		allowed[difference{field[0], field[1]}] = field[3]
	}
	return allowed
}

// frame is a packet of a capture.
type frame struct {
	time   time.Time
	packet Packet
}

var errLinkType = errors.New("link type not decoded here")

// readCapture reads a pcap or pcapng file.
func readCapture(name string) ([]frame, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var r interface {
		gopacket.PacketDataSource
		LinkType() layers.LinkType
	}
	if r, err = pcapgo.NewReader(bytes.NewReader(b)); err != nil {
		if r, err = pcapgo.NewNgReader(bytes.NewReader(b), pcapgo.DefaultNgReaderOptions); err != nil {
			return nil, err
		}
	}
	var frames []frame
	for {
		data, info, err := r.ReadPacketData()
		if err == io.EOF {
			return frames, nil
		}
		if err != nil {
			return nil, err
		}
		p := Packet{Data: data, Length: info.Length}
		if err := unwrap(&p, r.LinkType()); err != nil {
			return nil, err
		}
		frames = append(frames, frame{info.Timestamp, p})
	}
}

// unwrap takes off the link layer.
func unwrap(p *Packet, link layers.LinkType) error {
	skip := func(n int) {
		p.Data, p.Length = p.Data[min(n, len(p.Data)):], p.Length-n
	}
	switch link {
	case layers.LinkTypeRaw:
		return nil
	case layers.LinkTypeEthernet:
		skip(12)
	case layers.LinkTypeLinuxSLL:
		skip(14)
	default:
		return fmt.Errorf("%w: %v", errLinkType, link)
	}
	for len(p.Data) >= 2 {
		p.EtherType = binary.BigEndian.Uint16(p.Data)
		skip(2)
		if p.EtherType != 0x8100 || len(p.Data) < 2 {
			break
		}
		p.VLANs = append(p.VLANs, binary.BigEndian.Uint16(p.Data))
		skip(2)
	}
	return nil
}
