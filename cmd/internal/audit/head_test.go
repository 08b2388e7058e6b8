package audit

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"
	logrustest "github.com/sirupsen/logrus/hooks/test"

	"syntap/cmd/internal/chain"
	"syntap/cmd/internal/config"
	"syntap/cmd/internal/logfile"
	"syntap/cmd/internal/record"
	"syntap/tun/tuntest"
)

// vouchedLog is a chained and keyed log with an anchor in another directory.
type vouchedLog struct {
	sink config.Sink
	said *logrustest.Hook
}

func newVouchedLog(t *testing.T) *vouchedLog {
	t.Helper()
	return &vouchedLog{sink: config.Sink{
		Format: config.JSON, Path: filepath.Join(t.TempDir(), "log.json"), Chain: true,
		ChainKey: writeKey(t, 0o600, "0123456789abcdef"), ChainAnchor: []string{filepath.Join(t.TempDir(), "anchor")},
	}}
}

// run writes n records, as a run that stops in order does.
func (l *vouchedLog) run(t *testing.T, n int) {
	t.Helper()
	var logger *logrus.Logger
	logger, l.said = logrustest.NewNullLogger()
	s := open(t, l.sink, Options{Logger: logger})
	for range n {
		must(t, s.Record(established(1, start)))
		must(t, s.Flush())
	}
	s.endRun(nil)
	must(t, s.Close())
}

// verify returns the breaks of the log, one a line; all names the heads that it is compared with.
func (l *vouchedLog) verify(t *testing.T, o chain.Verifying) string {
	t.Helper()
	files, err := filepath.Glob(l.sink.Path[:len(l.sink.Path)-len(".json")] + "*")
	must(t, err)
	o.Key = l.sink.ChainKey
	v, err := chain.Verify(t.Context(), files, o)
	must(t, err)
	return strings.Join(v.Breaks, "\n")
}

// A change of the log while it is closed is found before the next start, by the heads, and ever
// after by the chain.
func TestHeadFindsWhatIsCut(t *testing.T) {
	t.Parallel()
	edit := func(change func(lines []string) []string) func(l *vouchedLog) error {
		return func(l *vouchedLog) error {
			b, err := os.ReadFile(l.sink.Path)
			if err != nil {
				return err
			}
			lines := strings.SplitAfter(string(b), "\n")
			return os.WriteFile(l.sink.Path, []byte(strings.Join(change(lines[:len(lines)-1]), "")), 0o600)
		}
	}
	tamper := map[string]func(l *vouchedLog) error{
		"last record":  edit(func(lines []string) []string { return lines[:len(lines)-1] }),
		"last records": edit(func(lines []string) []string { return lines[:1] }),
		"all records":  edit(func([]string) []string { return nil }),
		"file":         func(l *vouchedLog) error { return os.Remove(l.sink.Path) },
		"records and head": func(l *vouchedLog) error {
			return errors.Join(os.Remove(l.sink.Path), os.Remove(l.sink.Path+logfile.HeadSuffix))
		},
		"head alone, and records": func(l *vouchedLog) error {
			l.sink.ChainAnchor = nil
			if err := os.Remove(l.sink.Path + logfile.HeadSuffix); err != nil {
				return err
			}
			return edit(func(lines []string) []string { return lines[:2] })(l)
		},
		"an older head": func(l *vouchedLog) error {
			l.sink.ChainAnchor = nil
			if err := edit(func(lines []string) []string { return lines[:2] })(l); err != nil {
				return err
			}
			return os.WriteFile(l.sink.Path+logfile.HeadSuffix, []byte(`{"time":"2026-11-23T07:50:00Z","log":"x","seq":2,"hash":"`+strings.Repeat("0", 64)+`","keyed":true,"sum":"`+strings.Repeat("0", 64)+`"}`), 0o600)
		},
	}
	for _, name := range slices.Sorted(maps.Keys(tamper)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newVouchedLog(t)
			l.run(t, 3)
			anchor := l.sink.ChainAnchor
			if got := l.verify(t, chain.Verifying{Heads: anchor}); got != "" {
				t.Fatalf("untouched: %s", got)
			}
			must(t, tamper[name](l))
			if name != "head alone, and records" && name != "file" && name != "records and head" {
				if got := l.verify(t, chain.Verifying{Heads: anchor}); got == "" {
					t.Error("not found before the next start")
				}
			}
			l.run(t, 1)
			if len(l.said.AllEntries()) != 1 || l.said.LastEntry().Level != logrus.ErrorLevel {
				t.Errorf("the start says %v", l.said.AllEntries())
			}
			l.run(t, 1)
			if len(l.said.AllEntries()) != 0 {
				t.Errorf("the start after that says %v", l.said.AllEntries())
			}
			must(t, os.Remove(l.sink.Path+logfile.HeadSuffix)) // the chain itself tells
			if got := l.verify(t, chain.Verifying{}); got == "" {
				t.Error("not found by the chain")
			}
		})
	}
}

// Ordinary events are no break: runs, rotation that removes files, a process that was killed
// between a batch and its head, a log that was moved.
func TestHeadFindsNothing(t *testing.T) {
	t.Parallel()
	l := newVouchedLog(t)
	l.sink.MaxSize, l.sink.MaxFiles = 4<<10, 2
	for range 4 {
		l.run(t, 20)
		before, err := os.ReadFile(l.sink.Path + logfile.HeadSuffix)
		must(t, err)
		l.run(t, 2)
		must(t, os.WriteFile(l.sink.Path+logfile.HeadSuffix, before, 0o600))
		must(t, os.WriteFile(l.sink.ChainAnchor[0], before, 0o600))
	}
	l.run(t, 1)
	if len(l.said.AllEntries()) != 0 {
		t.Errorf("the start says %v", l.said.AllEntries())
	}
	var files []string
	s := open(t, l.sink, Options{}) // earlier runs may have had no time to remove files
	tuntest.Wait(t, "two rotated files", func() bool {
		var err error
		files, err = logfile.Files(l.sink.Path)
		must(t, err)
		return len(files) <= 3
	})
	must(t, s.Close())
	if first, err := record.FirstSeq(files[0]); err != nil || first < 20 {
		t.Errorf("the log begins with %d, %v: nothing was removed", first, err)
	}
	if got := l.verify(t, chain.Verifying{Heads: l.sink.ChainAnchor}); got != "" {
		t.Errorf("breaks: %s", got)
	}
	must(t, os.Remove(files[0]))
	if got := l.verify(t, chain.Verifying{Heads: l.sink.ChainAnchor}); !strings.Contains(got, "missing at the beginning") {
		t.Errorf("without its oldest file: %q", got)
	}
}

// Without the key nothing is proven, and verify says so.
func TestVerifyWithoutKey(t *testing.T) {
	t.Parallel()
	l := newVouchedLog(t)
	l.run(t, 3)
	if v, err := chain.Verify(t.Context(), []string{l.sink.Path}, chain.Verifying{}); err != nil || !v.Unproven {
		t.Errorf("%+v, %v", v, err)
	}
	must(t, os.Remove(l.sink.Path+logfile.HeadSuffix))
	if v, err := chain.Verify(t.Context(), []string{l.sink.Path}, chain.Verifying{}); err != nil || !v.Unproven {
		t.Errorf("without a head: %+v, %v", v, err)
	}
}

// headsIn returns the heads in a file.
func headsIn(t *testing.T, path string) []chain.Head {
	t.Helper()
	heads, err := chain.ReadHeads(record.NewChain([]byte("0123456789abcdef")), path)
	must(t, err)
	return heads
}

// A head that is gone, or is something else, is made anew while the log is written.
func TestHeadIsMadeAnew(t *testing.T) {
	t.Parallel()
	l := newVouchedLog(t)
	s := open(t, l.sink, Options{})
	path := l.sink.Path + logfile.HeadSuffix
	write := func() {
		t.Helper()
		must(t, s.Record(established(1, start)))
		must(t, s.Flush())
	}
	write()
	must(t, os.Remove(path))
	write()
	if heads := headsIn(t, path); len(heads) != 1 || heads[0].Seq != 2 {
		t.Errorf("heads %v, want that of record 2", heads)
	}
	must(t, os.Remove(path))
	must(t, os.Mkdir(path, 0o700))
	write() // the log goes on
	must(t, os.Remove(path))
	write()
	must(t, s.Close())
	if heads := headsIn(t, path); len(heads) != 1 || heads[0].Seq != 4 {
		t.Errorf("heads %v, want that of record 4", heads)
	}
}

// An anchor has the head of a log soon, and not only at its end.
func TestAnchor(t *testing.T) {
	t.Parallel()
	l := newVouchedLog(t)
	s := open(t, l.sink, Options{})
	must(t, s.Record(established(1, start)))
	must(t, s.Flush())
	tuntest.Wait(t, "the head of record 1", func() bool {
		b, err := os.ReadFile(l.sink.ChainAnchor[0])
		return err == nil && strings.Contains(string(b), `"seq":1,`)
	})
	must(t, s.Record(established(1, start)))
	must(t, s.Close())
	b, err := os.ReadFile(l.sink.ChainAnchor[0])
	must(t, err)
	if want := fmt.Sprintf(`"log":%q,"seq":2,`, l.sink.Path); !strings.Contains(string(b), want) {
		t.Errorf("anchor holds %s, want %s", b, want)
	}
}
