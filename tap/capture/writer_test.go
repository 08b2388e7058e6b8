package capture_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket/pcapgo"

	"syntap/tap/capture"
)

// writeSample writes three packets: whole with two comments, cut with one, and empty without.
func writeSample(t *testing.T, resolution time.Duration) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := capture.NewWriter(&out, capture.LinkTypeRaw, resolution)
	if err != nil {
		t.Fatal(err)
	}
	first := time.Unix(1700000000, 123456789)
	for i, p := range []struct {
		frame    []byte
		length   int
		comments []string
	}{
		{syn4(), 40, []string{"outcome=established", "odd"}},
		{syn6()[:50], 1500, []string{"outcome=refused"}},
		{nil, 40, nil},
	} {
		if err := w.WritePacket(first.Add(time.Duration(i)*time.Millisecond), p.frame, p.length, p.comments...); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

func TestWriterRoundTrip(t *testing.T) {
	t.Parallel()
	for _, resolution := range []time.Duration{time.Nanosecond, time.Microsecond} {
		packets, err := readAll(t, writeSample(t, resolution))
		if err != nil {
			t.Fatal(err)
		}
		type packet struct {
			Time   time.Time
			Frame  []byte
			Length int
		}
		want := []packet{
			{time.Unix(1700000000, 123456789).Truncate(resolution), syn4(), 40},
			{time.Unix(1700000000, 124456789).Truncate(resolution), syn6()[:50], 1500},
			{time.Unix(1700000000, 125456789).Truncate(resolution), []byte{}, 40},
		}
		var got []packet
		for _, p := range packets {
			got = append(got, packet{p.Time, append([]byte{}, p.Frame...), p.FrameLength})
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("resolution %v (-want +got):\n%s", resolution, diff)
		}
	}
}

// Another reader of the format sees the section, the comments and the lengths.
func TestWriterReadByPcapgo(t *testing.T) {
	t.Parallel()
	r, err := pcapgo.NewNgReader(bytes.NewReader(writeSample(t, time.Nanosecond)), pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	if got := r.SectionInfo().Application; got != "syntap" {
		t.Errorf("application = %q, want syntap", got)
	}
	if got := capture.LinkType(r.LinkType()); got != capture.LinkTypeRaw {
		t.Errorf("link type = %d, want %d", got, capture.LinkTypeRaw)
	}
	var comments [][]string
	for range 3 {
		_, ci, options, err := r.ReadPacketDataWithOptions()
		if err != nil {
			t.Fatal(err)
		}
		if ci.CaptureLength > ci.Length {
			t.Errorf("captured %d of %d bytes", ci.CaptureLength, ci.Length)
		}
		comments = append(comments, options.Comments)
	}
	want := [][]string{{"outcome=established", "odd"}, {"outcome=refused"}, nil}
	if diff := cmp.Diff(want, comments); diff != "" {
		t.Errorf("comments (-want +got):\n%s", diff)
	}
}

func TestWriterReadByWireshark(t *testing.T) {
	t.Parallel()
	// Appending to a file makes a second section.
	data := append(writeSample(t, time.Nanosecond), writeSample(t, time.Microsecond)...)
	path := filepath.Join(t.TempDir(), "sample.pcapng")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		args []string
		want string // "" = do not compare
	}{
		{
			"tshark",
			[]string{"-r", path, "-Y", "frame.comment", "-T", "fields", "-e", "frame.number", "-e", "frame.comment", "-e", "frame.len", "-e", "frame.cap_len"},
			"1\toutcome=established,odd\t40\t40\n2\toutcome=refused\t1500\t50\n4\toutcome=established,odd\t40\t40\n5\toutcome=refused\t1500\t50\n",
		},
		{"capinfos", []string{"-c", "-E", "-M", path}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := exec.LookPath(tt.name); err != nil {
				t.Skip(err)
			}
			var stdout, stderr bytes.Buffer
			cmd := exec.Command(tt.name, tt.args...)
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			if err := cmd.Run(); err != nil {
				t.Fatalf("%v: %s", err, &stderr)
			}
			// The one line tshark always says as root is about the user, not about the file.
			if text := stderr.String(); text != "" && !strings.HasPrefix(text, "Running as user") {
				t.Errorf("stderr: %s", text)
			}
			if tt.want != "" && stdout.String() != tt.want {
				t.Errorf("output:\n%swant:\n%s", &stdout, tt.want)
			}
		})
	}
}

func TestWriterRefuses(t *testing.T) {
	t.Parallel()
	if _, err := capture.NewWriter(&bytes.Buffer{}, capture.LinkTypeRaw, time.Second); err == nil {
		t.Error("NewWriter took a resolution of one second")
	}
	w, err := capture.NewWriter(&bytes.Buffer{}, capture.LinkTypeRaw, time.Nanosecond)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.WritePacket(time.Time{}, make([]byte, 262145), 262145); err == nil {
		t.Error("WritePacket took 262145 captured bytes, more than the reader takes")
	}
}

type brokenWriter struct{ left int }

func (b *brokenWriter) Write(p []byte) (int, error) {
	if b.left--; b.left < 0 {
		return 0, errors.New("no space left")
	}
	return len(p), nil
}

func TestWriterError(t *testing.T) {
	t.Parallel()
	if _, err := capture.NewWriter(&brokenWriter{}, capture.LinkTypeRaw, time.Nanosecond); err == nil {
		t.Error("NewWriter hid the error of its writer")
	}
	w, err := capture.NewWriter(&brokenWriter{left: 1}, capture.LinkTypeRaw, time.Nanosecond)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.WritePacket(time.Unix(0, 0), syn4(), 40); err == nil {
		t.Error("WritePacket hid the error of its writer")
	}
}
