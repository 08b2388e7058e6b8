package query

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"syntap/cmd/internal/audit"
	"syntap/cmd/internal/config"
	"syntap/cmd/internal/filter"
	"syntap/cmd/internal/logfile"
	"syntap/cmd/internal/record"
	"syntap/stack/egress"
	"syntap/tun/tuntest"
)

func parse(tb testing.TB, text string) filter.Filter {
	tb.Helper()
	f, err := filter.Parse(text, start)
	if err != nil {
		tb.Fatal(err)
	}
	return *f
}

func TestFilter(t *testing.T) {
	t.Parallel()
	const n = 40
	file := write(t, config.Sink{Format: config.JSON, Path: filepath.Join(t.TempDir(), "log.json")}, attempts(n))
	tests := []struct {
		filter string
		want   func(i int) bool // of the records, in order
	}{
		{"", func(int) bool { return true }},
		{"since:2026-11-23T07:50:10Z", func(i int) bool { return i >= 10 }},
		{"until:2026-11-23T07:50:10Z", func(i int) bool { return i < 10 }},
		{"since:2026-11-23T07:50:05Z until:2026-11-23T07:50:10Z", func(i int) bool { return i >= 5 && i < 10 }},
		{"src:2001:db8::/64", func(i int) bool { return i%2 == 1 }},
		{"dst:198.51.100.2/32,203.0.113.0/24", func(i int) bool { return i%2 == 0 }},
		{"port:81,83", func(i int) bool { return i%2 == 1 }},
		{"port:81-82", func(i int) bool { return i%4 == 1 || i%4 == 2 }},
		{"refused", func(i int) bool { return i%4 == 3 }},
		{"!refused", func(i int) bool { return i%4 != 3 }},
		{`process:"we\"ird"`, func(i int) bool { return i%2 == 1 }},
		{"port:80 refused", func(int) bool { return false }},
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(whole), "\n")
	for _, tt := range tests {
		var want strings.Builder
		for i := range n {
			if tt.want(i) {
				want.WriteString(lines[i])
			}
		}
		var got strings.Builder
		if err := Run(Query{Filter: parse(t, tt.filter), Format: JSON}, []string{file}, &got); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(want.String(), got.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.filter, diff)
		}
	}
}

// The lines of a query are those of a text log of the same dialect.
func TestDialects(t *testing.T) {
	t.Parallel()
	all := attempts(20)
	dir := t.TempDir()
	file := write(t, config.Sink{Format: config.JSON, Path: filepath.Join(dir, "log.json")}, all)
	for _, format := range []Format{Modern, Classic} {
		want, err := os.ReadFile(write(t, config.Sink{Format: config.Format(format), Path: filepath.Join(dir, string(format))}, all))
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		if err := Run(Query{Format: format}, []string{file}, &got); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(string(want), got.String()); diff != "" {
			t.Errorf("%s (-log +query):\n%s", format, diff)
		}
	}
}

// Records of an older syntap have no segments: their modern lines are printed, and an error says
// so.
func TestClassicOfOldRecords(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "old.json")
	const old = `{"time":"2026-11-23T07:50:00.000000Z","level":"info","msg":"handshake","seq":1,"outcome":"refused","lines":["IP a.1 > b.2: Flags [S]"],"rewrites":[]}` + "\n" +
		`{"time":"2026-11-23T07:50:00.000000Z","level":"info","msg":"flow","seq":2}` + "\n"
	if err := os.WriteFile(file, []byte(old), 0o600); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	err := Run(Query{Format: Classic}, []string{file}, &out)
	if want := file + ": records without segments, printed in modern notation: 1"; err == nil || err.Error() != want {
		t.Errorf("error = %v, want %s", err, want)
	}
	if got := out.String(); got != "IP a.1 > b.2: Flags [S]\n" {
		t.Errorf("printed %q", got)
	}
	out.Reset()
	if err := Run(Query{Format: Modern}, []string{file}, &out); err != nil || out.Len() == 0 {
		t.Errorf("modern: %q, %v", out.String(), err)
	}
}

func TestTop(t *testing.T) {
	t.Parallel()
	file := write(t, config.Sink{Format: config.JSON, Path: filepath.Join(t.TempDir(), "log.json")}, attempts(40))
	tests := []struct {
		keys   []string
		format Format
		want   string
	}{
		{[]string{"outcome"}, Modern, "      30  established\n      10  refused\n"},
		{[]string{"dst"}, Modern, "      20  198.51.100.2\n      20  2001:db8:1::2\n"},
		{[]string{"port"}, Modern, "      10  80\n      10  81\n      10  82\n      10  83\n"},
		{[]string{"port", "process"}, Line, "      10  80  curl\n      10  81  we\"ird\n      10  82  curl\n      10  83  we\"ird\n"},
		{[]string{"port", "outcome"}, CSV, "count,port,outcome\n10,80,established\n10,81,established\n10,82,established\n10,83,refused\n"},
		{[]string{"user"}, Line, "      40  1000\n"},
		{[]string{"container"}, Line, "unnamed: 40\n"},
		{[]string{"container"}, JSON, `{"count":40}` + "\n"},
		{[]string{"container", "outcome"}, Line, "      30  -  established\n      10  -  refused\n"},
		{[]string{"process"}, JSON, `{"count":20,"process":"curl"}` + "\n" + `{"count":20,"process":"we\"ird"}` + "\n"},
	}
	for _, tt := range tests {
		var got strings.Builder
		if err := Run(Query{Top: tt.keys, Format: tt.format}, []string{file}, &got); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(tt.want, got.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.keys, diff)
		}
	}
}

// Files of any size, compressed or not, are read as one.
func TestRunOverFiles(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log.json")
	const n = 3000
	write(t, config.Sink{Format: config.JSON, Path: path, MaxSize: 1 << 20, Compress: true}, attempts(n))
	files, err := logfile.Files(path)
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, "/nonexistent")
	var out bytes.Buffer
	if err := Run(Query{Format: JSON}, files, &out); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error = %v, want one for the last file", err)
	}
	seq := 0
	for line := range strings.Lines(out.String()) {
		var r struct{ Seq int }
		if err := json.Unmarshal([]byte(line), &r); err != nil || r.Seq != seq+1 {
			t.Fatalf("record %d: seq %d, %v", seq+1, r.Seq, err)
		}
		seq++
	}
	if seq != n || len(files) < 4 {
		t.Errorf("%d records from %d files, want %d from several", seq, len(files)-1, n)
	}
}

// broken takes a few writes.
type broken struct{ writes int }

func (b *broken) Write(p []byte) (int, error) {
	if b.writes--; b.writes < 0 {
		return 0, io.ErrClosedPipe
	}
	return len(p), nil
}

func TestRunEndsWithItsOutput(t *testing.T) {
	t.Parallel()
	file := write(t, config.Sink{Format: config.JSON, Path: filepath.Join(t.TempDir(), "log.json")}, attempts(5000))
	if err := Run(Query{Format: JSON}, []string{file, file, file, file}, &broken{writes: 1}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("error = %v", err)
	}
}

// A log is followed over rotation, however quick that is.
func TestFollow(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log.json")
	s, err := audit.Open(config.Sink{Format: config.JSON, Path: path, MaxSize: 4 << 10, Compress: true}, audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var out tuntest.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- Follow(ctx, Query{Format: JSON}, []string{path}, &out) }()
	const n = 200
	for i, r := range attempts(n) {
		if err := errors.Join(s.Record(r), s.Flush()); err != nil {
			t.Fatal(err)
		}
		if i == 0 || i == n/4 || i == n/2 { // rotated many times in between
			tuntest.Wait(t, "what is written", func() bool { return strings.Count(out.String(), "\n") == i+1 })
		}
	}
	tuntest.Wait(t, "all", func() bool { return strings.Count(out.String(), "\n") >= n })
	cancel()
	if err := errors.Join(<-done, s.Close()); err != nil {
		t.Error(err)
	}
	for i, line := range strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n") {
		if want := fmt.Sprintf(`,"seq":%d,`, i+1); !strings.Contains(line, want) {
			t.Fatalf("record %d: %s", i+1, line)
		}
	}
}

// FuzzSearch: a search takes any bytes, and prints as JSON only lines that are there.
func FuzzSearch(f *testing.F) {
	file := write(f, config.Sink{Format: config.JSON, Path: filepath.Join(f.TempDir(), "log.json")}, attempts(4))
	whole, err := os.ReadFile(file)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(mixture().text())
	f.Add([]byte(`{"time":"","seq":,"lines":["` + "\n"))
	f.Add(binary.BigEndian.AppendUint64(nil, 1<<63))
	f.Fuzz(func(t *testing.T, data []byte) {
		wanted := parse(t, "since:2026-11-23T07:50:00Z src:0.0.0.0/0 port:80 established process:curl")
		search := func(q Query, w io.Writer) {
			lines := lineRun{lines: append(bytes.Clone(data), '\n'), file: "log", log: logOf("log"), first: 1}
			out, r := newOutput(&q, []string{"log"}, nil, w), newWorker(&q).search(lines)
			if err := errors.Join(out.take(&lines, &r), out.finish()); err != nil {
				t.Error(err)
			}
		}
		for _, f := range Formats() {
			for _, q := range []Query{{}, {Top: []string{"process", "dst"}}, {NewSince: start}, {Filter: wanted}, {Last: 2}} {
				q.Format = Format(f)
				search(q, io.Discard)
			}
		}
		var out bytes.Buffer
		search(Query{Format: JSON, Filter: wanted}, &out)
		for line := range bytes.Lines(out.Bytes()) {
			if new(record.Line).Scan(line) == record.None || bytes.ContainsFunc(line[:len(line)-1], func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("%q of %q", line, data)
			}
		}
	})
}

// BenchmarkRun searches 100,000 records.
func BenchmarkRun(b *testing.B) {
	const n = 100_000
	all := attempts(1000)
	for len(all) < n {
		all = append(all, all[:1000]...)
	}
	file := write(b, config.Sink{Format: config.JSON, Path: filepath.Join(b.TempDir(), "log.json")}, all)
	for name, q := range map[string]Query{
		"json":    {Format: JSON},
		"nothing": {Format: JSON, Filter: parse(b, "since:2027-01-01")},
		"src":     {Format: JSON, Filter: parse(b, "src:192.0.2.0/24")},
		"modern":  {Format: Modern},
		"classic": {Format: Classic},
		"line":    {Format: Line},
		"top":     {Top: []string{"process"}},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := Run(q, []string{file}, io.Discard); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// A finding is a line among those of connections and a record among records, where its address is
// wanted; no table counts it.
func TestFindings(t *testing.T) {
	t.Parallel()
	l := mixture()
	l.add(l.writer.Finding(nil, l.next(), &record.Finding{
		Header: record.Header{Time: start.Add(5 * time.Second)}, Kind: record.BlackHole, Confidence: record.High,
		Family: 4, Dst: "203.0.113.2", Direction: "up", Passes: 1400, Fails: 1401, Flows: 1, Clamp: 1360,
	}))
	log := file(t, l.lines)
	for _, tt := range []struct {
		format Format
		filter string
		found  bool
	}{
		{Line, "", true},
		{Line, "dst:203.0.113.2", true},
		{Line, "dst:203.0.113.9", false},
		{Line, "established", false},
		{JSON, "", true},
		{JSON, "dst:203.0.113.2", true},
		{JSON, "dst:203.0.113.9", false},
		{OCSF, "", true},
		{ECS, "", true},
		{CSV, "", false},
		{Zeek, "", false},
		{Modern, "", false},
	} {
		var out strings.Builder
		if err := Run(Query{Format: tt.format, Filter: parse(t, tt.filter)}, []string{log}, &out); err != nil {
			t.Error(err)
		}
		if got := strings.Contains(out.String(), "1401"); got != tt.found {
			t.Errorf("%s %q has the finding: %v, want %v\n%s", tt.format, tt.filter, got, tt.found, &out)
		}
	}
	for _, q := range []Query{
		{Format: Line, Top: []string{"outcome"}},
		{Format: Line, Only: Refused(egress.Compile(nil, true))},
		{Format: JSON, Only: Refused(egress.Compile(nil, true))},
		{Format: OCSF, Only: Refused(egress.Compile(nil, true))},
	} {
		var out strings.Builder
		if err := Run(q, []string{log}, &out); err != nil || out.Len() == 0 || strings.Contains(out.String(), "finding") {
			t.Errorf("%v, output of %s with the finding, or empty:\n%s", err, q.Format, &out)
		}
	}
}
