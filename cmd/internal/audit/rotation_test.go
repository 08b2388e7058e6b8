package audit

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	logrustest "github.com/sirupsen/logrus/hooks/test"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/logfile"
	"syntap/tap/capture"
	"syntap/tun/tuntest"
)

// contents reads every file of a log, the oldest first, decompressed.
func contents(t *testing.T, path string) (names []string, texts []string) {
	t.Helper()
	names, err := logfile.Files(path)
	must(t, err)
	for _, name := range names {
		f, err := logfile.OpenRead(name)
		must(t, err)
		b, err := io.ReadAll(f)
		must(t, errors.Join(err, f.Close()))
		texts = append(texts, string(b))
	}
	return names, texts
}

// numbers returns the numbers of the records in a text.
func numbers(t *testing.T, text string) (all []uint64) {
	t.Helper()
	for line := range strings.Lines(text) {
		seq, ok := recordSeq([]byte(line))
		if !ok || !strings.HasSuffix(line, "\n") {
			t.Fatalf("broken line %q", line)
		}
		all = append(all, seq)
	}
	return all
}

func sequence(from, to uint64) (all []uint64) {
	for seq := from; seq <= to; seq++ {
		all = append(all, seq)
	}
	return all
}

func TestRotateBySize(t *testing.T) {
	t.Parallel()
	const maxSize, records = 8 << 10, 100
	for _, format := range []config.Format{config.JSON, config.Classic, config.PCAPNG} {
		t.Run(string(format), func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "handshakes.log")
			s := open(t, config.Sink{Format: format, Path: path, MaxSize: maxSize}, Options{})
			for range records {
				must(t, s.Record(established(1, start)))
			}
			must(t, s.Close())
			names, texts := contents(t, path)
			if len(names) < 3 {
				t.Fatalf("files %q, want several", names)
			}
			packets := 0
			for i, text := range texts {
				if len(text) > maxSize || len(text) == 0 {
					t.Errorf("%s has %d bytes, want 1 to %d", names[i], len(text), maxSize)
				}
				if format == config.PCAPNG {
					packets += packetsIn(t, text)
				}
			}
			switch whole := strings.Join(texts, ""); format {
			case config.JSON:
				if diff := cmp.Diff(sequence(1, records), numbers(t, whole)); diff != "" {
					t.Errorf("numbers (-want +got):\n%s", diff)
				}
			case config.Classic:
				packets = strings.Count(whole, "\n")
			default:
			}
			if format != config.JSON && packets != 3*records {
				t.Errorf("%d packets, want %d", packets, 3*records)
			}
		})
	}
}

// packetsIn counts the packets of a capture.
func packetsIn(t *testing.T, text string) (n int) {
	t.Helper()
	r, err := capture.NewReader(strings.NewReader(text))
	must(t, err)
	for {
		_, err := r.Next()
		if err == io.EOF {
			return n
		}
		must(t, err)
		n++
	}
}

func TestRotateByAge(t *testing.T) {
	t.Parallel()
	path := logPath(t)
	now := time.Now()
	s := open(t, config.Sink{Format: config.JSON, Path: path, MaxAge: time.Hour}, Options{Now: func() time.Time { return now }})
	for _, step := range []struct {
		later time.Duration
		files int
	}{{0, 1}, {59 * time.Minute, 1}, {2 * time.Minute, 2}} {
		now = now.Add(step.later)
		must(t, s.Record(established(1, start)))
		must(t, s.Flush())
		if names, _ := contents(t, path); len(names) != step.files {
			t.Errorf("%v later: files %q, want %d", step.later, names, step.files)
		}
	}
	must(t, s.Close())
}

// A file's name is later than those before, also when the clock is not.
func TestRotateClockStepsBack(t *testing.T) {
	t.Parallel()
	path := logPath(t)
	now := start
	s := open(t, config.Sink{Format: config.JSON, Path: path, MaxSize: 1}, Options{Now: func() time.Time { return now }})
	const records = 5
	for range records {
		must(t, s.Record(established(1, start)))
		now = now.Add(-time.Hour)
	}
	must(t, s.Close())
	_, texts := contents(t, path)
	if diff := cmp.Diff(sequence(1, records), numbers(t, strings.Join(texts, ""))); diff != "" {
		t.Errorf("numbers in the order of the names (-want +got):\n%s", diff)
	}
}

func TestRotationTidies(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "handshakes.json")
	must(t, os.WriteFile(filepath.Join(filepath.Dir(path), "handshakes-of-another.json"), nil, 0o600))
	s := open(t, config.Sink{Format: config.JSON, Path: path, MaxSize: 1, MaxFiles: 3, Compress: true}, Options{})
	const records = 8
	for range records {
		must(t, s.Record(established(1, start)))
	}
	tuntest.Wait(t, "three compressed files", func() bool {
		files, err := logfile.Files(path)
		must(t, err)
		all, err := filepath.Glob(filepath.Dir(path) + "/handshakes-2*")
		must(t, err)
		return len(files) == 4 && len(all) == 3 && !slices.ContainsFunc(all, func(f string) bool { return !strings.HasSuffix(f, ".json.gz") })
	})
	names, texts := contents(t, path)
	must(t, s.Close())
	if diff := cmp.Diff(sequence(records-3, records), numbers(t, strings.Join(texts, ""))); diff != "" {
		t.Errorf("numbers in %q (-want +got):\n%s", names, diff)
	}
	for _, name := range names {
		info, err := os.Stat(name)
		must(t, err)
		if extra := info.Mode().Perm() &^ 0o640; extra != 0 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
	if left, _ := filepath.Glob(filepath.Dir(path) + "/*"); len(left) != 5 {
		t.Errorf("files %q, want the log, three old ones and another's", left)
	}
}

// Numbers go on when a run begins where no file is, or an empty one, whichever program has rotated
// the one before.
func TestSeqOverRotation(t *testing.T) {
	t.Parallel()
	const line = `{"time":"x","seq":41}` + "\n"
	for _, rotated := range []string{"h-20261123T075000.000000Z.json", "h-20261123T075000.000000Z.json.gz", "h.json.1", "h.json-20261123.gz"} {
		for _, empty := range []bool{false, true} {
			dir := t.TempDir()
			path, old := filepath.Join(dir, "h.json"), filepath.Join(dir, strings.TrimSuffix(rotated, ".gz"))
			must(t, os.WriteFile(filepath.Join(dir, "h.json.note"), []byte("not a log\n"), 0o600))
			must(t, os.WriteFile(old, []byte(line), 0o600))
			if strings.HasSuffix(rotated, ".gz") {
				must(t, logfile.Compress(t.Context(), old))
			}
			if empty {
				must(t, os.WriteFile(path, nil, 0o600))
			}
			s := open(t, config.Sink{Format: config.JSON, Path: path}, Options{})
			must(t, s.Record(established(1, start)))
			must(t, s.Close())
			b, err := os.ReadFile(path)
			must(t, err)
			if got := numbers(t, string(b)); !slices.Equal(got, []uint64{42}) {
				t.Errorf("%s, empty file %t: numbers %d, want 42", rotated, empty, got)
			}
		}
	}
}

// Others rename, truncate or delete a file that is written to.
func TestFileChangedByOthers(t *testing.T) {
	t.Parallel()
	const truncated, gone = "log was truncated: records written while it was copied are lost; have logrotate rename it and send SIGHUP, without copytruncate", "log was deleted, it is made anew"
	tests := []struct {
		name   string
		change func(t *testing.T, path string, s *Sink)
		want   []uint64 // in the log
		old    []uint64 // in the file renamed
		said   []string
	}{
		{"renamed, no signal", func(t *testing.T, path string, _ *Sink) { must(t, os.Rename(path, path+".1")) }, nil, []uint64{1, 2}, nil},
		{"renamed", func(t *testing.T, path string, s *Sink) { must(t, os.Rename(path, path+".1")); must(t, s.Reopen()) }, []uint64{2}, []uint64{1}, nil},
		{"renamed and made", func(t *testing.T, path string, s *Sink) {
			must(t, os.Rename(path, path+".1"))
			must(t, os.WriteFile(path, nil, 0o640))
			must(t, s.Reopen())
		}, []uint64{2}, []uint64{1}, nil},
		{"signal only", func(t *testing.T, _ string, s *Sink) { must(t, s.Reopen()) }, []uint64{1, 2}, nil, nil},
		{"copytruncate", func(t *testing.T, path string, _ *Sink) { must(t, os.Truncate(path, 0)) }, []uint64{2}, nil, []string{truncated}},
		{"deleted", func(t *testing.T, path string, _ *Sink) { must(t, os.Remove(path)) }, []uint64{2}, nil, []string{gone}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := logPath(t)
			logger, hook := logrustest.NewNullLogger()
			s := open(t, config.Sink{Format: config.JSON, Path: path}, Options{Logger: logger})
			must(t, s.Record(established(1, start)))
			must(t, s.Flush())
			tt.change(t, path, s)
			must(t, s.Record(established(2, start)))
			must(t, s.Close())
			read := func(path string) []uint64 {
				b, err := os.ReadFile(path)
				if !errors.Is(err, os.ErrNotExist) {
					must(t, err)
				}
				return numbers(t, string(b))
			}
			if got := read(path); !slices.Equal(got, tt.want) {
				t.Errorf("log has %d, want %d", got, tt.want)
			}
			if got := read(path + ".1"); !slices.Equal(got, tt.old) {
				t.Errorf("renamed file has %d, want %d", got, tt.old)
			}
			var said []string
			for _, e := range hook.AllEntries() {
				said = append(said, e.Message)
			}
			if diff := cmp.Diff(tt.said, said); diff != "" {
				t.Errorf("messages (-want +got):\n%s", diff)
			}
		})
	}
}

// A capture begins with its head wherever it goes on.
func TestCaptureChangedByOthers(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(path string) error{
		"truncated": func(path string) error { return os.Truncate(path, 0) },
		"deleted":   os.Remove,
	} {
		path := logPath(t)
		s := open(t, config.Sink{Format: config.PCAPNG, Path: path}, Options{})
		must(t, s.Record(established(1, start)))
		must(t, s.Flush())
		must(t, change(path))
		must(t, s.Record(established(2, start)))
		must(t, s.Close())
		b, err := os.ReadFile(path)
		must(t, err)
		if n := packetsIn(t, string(b)); n != 3 {
			t.Errorf("%s: %d packets, want 3", name, n)
		}
	}
}

// A file that cannot be rotated goes on growing; that is said once.
func TestRotateFails(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "dir")
	must(t, os.Mkdir(dir, 0o755))
	path := filepath.Join(dir, "log")
	logger, hook := logrustest.NewNullLogger()
	s := open(t, config.Sink{Format: config.JSON, Path: path, MaxSize: 1}, Options{Logger: logger})
	must(t, s.Record(established(1, start)))
	must(t, os.Chmod(dir, 0o777)) // from here on its files are refused
	for range 3 {
		must(t, s.Record(established(1, start)))
	}
	must(t, s.Close())
	b, err := os.ReadFile(path)
	must(t, err)
	if diff := cmp.Diff(sequence(1, 4), numbers(t, string(b))); diff != "" {
		t.Errorf("numbers (-want +got):\n%s", diff)
	}
	if all := hook.AllEntries(); len(all) != 1 || all[0].Message != "log cannot be rotated" {
		t.Errorf("reports %v, want one", all)
	}
}

// Reopening goes through the goroutine that writes.
func TestLogReopen(t *testing.T) {
	t.Parallel()
	path := logPath(t)
	l := NewLog([]*Sink{open(t, config.Sink{Format: config.JSON, Path: path}, Options{})}, LogOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- l.Run(ctx) }()
	must(t, os.Rename(path, path+".1"))
	l.Reopen()
	tuntest.Wait(t, "the log's file", func() bool { _, err := os.Stat(path); return err == nil })
	l.Record(established(1, start))
	cancel()
	must(t, <-done)
	b, err := os.ReadFile(path)
	must(t, err)
	if got := ports(t, string(b)); !slices.Equal(got, []int{1}) {
		t.Errorf("log holds %s", b)
	}
}
