package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"

	"syntap/cmd/internal/config"
	"syntap/tap/handshake"
)

// full is a disk that takes only room more bytes.
type full struct {
	w    interface{ Write([]byte) (int, error) }
	room int

	mu     sync.Mutex // guards room in tests that change it while others write, and writes
	writes int
}

// on is the disk that a file is on.
func (f *full) on(file *os.File) io.Writer {
	f.w = file
	return f
}

// free makes room, and returns how many writes there have been.
func (f *full) free(room int) (writes int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.room = room
	return f.writes
}

func (f *full) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writes++
	if len(b) <= f.room {
		f.room -= len(b)
		return f.w.Write(b)
	}
	n, _ := f.w.Write(b[:f.room])
	f.room = 0
	return n, syscall.ENOSPC
}

// The part of a batch that a full disk took is taken back, the loss is counted and announced, and
// numbers have no gap.
func TestSinkDiskFull(t *testing.T) {
	t.Parallel()
	path := logPath(t)
	disk := &full{room: 1 << 20}
	s := open(t, config.Sink{Format: config.JSON, Path: path}, Options{writer: disk.on})
	must(t, s.Record(established(1, start)))
	must(t, s.Flush())
	disk.free(1000)
	for i := range 3 {
		must(t, s.Record(established(2, start.Add(time.Duration(i)*time.Second))))
		must(t, s.Record(established(3, start)))
		if err := s.Flush(); !errors.Is(err, syscall.ENOSPC) || err.Error() != "write log "+path+": no space left on device" {
			t.Errorf("error = %v", err)
		}
	}
	if got := s.lost.Load(); got != 6 {
		t.Errorf("%d records counted as lost, want 6", got)
	}
	disk.room = 1 << 20
	must(t, s.Record(established(4, start)))
	must(t, s.Record(established(5, start)))
	must(t, s.Close())

	b, err := os.ReadFile(path)
	must(t, err)
	type line struct {
		Msg, Reason, Level string
		From, To           string
		Lost, Seq, Sport   int
	}
	var got []line
	for text := range strings.Lines(string(b)) {
		var l line
		must(t, json.Unmarshal([]byte(text), &l))
		got = append(got, l)
	}
	want := []line{
		{Msg: "handshake", Level: "info", Seq: 1, Sport: 1},
		{Msg: "gap", Level: "warning", Reason: "write_error", From: "2026-11-23T07:50:00.123456Z", To: "2026-11-23T07:50:02.123456Z", Lost: 6, Seq: 2},
		{Msg: "handshake", Level: "info", Seq: 3, Sport: 4},
		{Msg: "handshake", Level: "info", Seq: 4, Sport: 5},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

// Bytes in a pipe cannot be taken back: the next line begins a new one.
func TestSinkTornPipe(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	disk := &full{w: &out, room: 20}
	s := open(t, config.Sink{Format: config.Classic, Path: "-"}, Options{Stdout: disk})
	must(t, s.Record(established(1, start)))
	if err := s.Flush(); err == nil {
		t.Error("no error")
	}
	disk.room = 1000
	r := established(2, start)
	r.Segments = r.Segments[2:]
	must(t, s.Record(r))
	must(t, s.Close())
	want := "192.0.2.1.1 > 198.51\n192.0.2.1.2 > 198.51.100.2.80: . ack 4279842715 win 65535 (DF)\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
}

func TestSinkDevFull(t *testing.T) {
	t.Parallel()
	const device = "/dev/full"
	if _, err := os.Stat(device); err != nil {
		t.Skip(err)
	}
	for _, format := range []config.Format{config.Modern, config.JSON, config.OCSF, config.Zeek, config.ECS} {
		s := open(t, config.Sink{Format: format, Path: device}, Options{})
		must(t, s.Record(established(1, start)))
		if err := s.Close(); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%s: error = %v, want ENOSPC", format, err)
		}
	}
	if _, err := Open(config.Sink{Format: config.PCAPNG, Path: device}, Options{}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("pcapng: error = %v, want ENOSPC", err)
	}
}

// A batch is written when it is full, without a Flush.
func TestSinkFlushesFullBatch(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	s := open(t, config.Sink{Format: config.JSON, Path: "-"}, Options{Stdout: &out})
	for range 1000 {
		must(t, s.Record(established(1, start)))
	}
	if gathered := s.batch.Len(); gathered >= maxBatch || out.Len() == 0 {
		t.Errorf("%d bytes gathered, %d written", gathered, out.Len())
	}
}

// hook counts the attempts it sees.
type hook struct{ outcomes []handshake.Outcome }

func (h *hook) Levels() []logrus.Level { return logrus.AllLevels }
func (h *hook) Fire(e *logrus.Entry) error {
	h.outcomes = append(h.outcomes, e.Data[EventKey].(*Event).Record.Outcome)
	return nil
}

// A handshake is a logrus entry: hooks see it.
func TestSinkHook(t *testing.T) {
	t.Parallel()
	var h hook
	s := open(t, config.Sink{Format: config.Classic, Path: "-"}, Options{Stdout: io.Discard, Hooks: []logrus.Hook{&h}})
	must(t, s.Record(established(1, start)))
	must(t, s.Record(refused()))
	if diff := cmp.Diff([]handshake.Outcome{handshake.Established, handshake.Refused}, h.outcomes); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
}

// nowhere is io.Discard without its fast paths.
type nowhere struct{}

func (nowhere) Write(b []byte) (int, error) { return len(b), nil }

// A handshake of three segments may cost 10 allocations from its SYN to its written record: all of
// them are for the tap.
func TestSinkAllocs(t *testing.T) {
	r := established(1, start)
	for _, format := range []config.Format{config.Classic, config.Modern, config.JSON, config.OCSF, config.Zeek, config.ECS} {
		s := open(t, config.Sink{Format: format, Path: "-"}, Options{Stdout: nowhere{}})
		got := testing.AllocsPerRun(1000, func() {
			must(t, s.Record(r))
			must(t, s.Flush())
		})
		if got > 0 {
			t.Errorf("%s: %v allocations a record, want none", format, got)
		}
	}
}

func BenchmarkSink(b *testing.B) {
	r := established(1051, start)
	for _, format := range []config.Format{
		config.Classic, config.Modern, config.JSON, config.OCSF, config.Zeek, config.ECS, config.PCAPNG,
	} {
		b.Run(string(format), func(b *testing.B) {
			s := open(b, config.Sink{Format: format, Path: "-"}, Options{Stdout: nowhere{}})
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Record(r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
