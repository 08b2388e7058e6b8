package audit

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/record"
	"syntap/cmd/internal/record/recordtest"
)

// start is when records begin.
var start = recordtest.Start

// established is the record of a handshake that has succeeded.
func established(sport uint16, t time.Time) *record.Attributed {
	return &record.Attributed{Record: recordtest.Handshake(sport, t)}
}

// refused is the record of one that has not.
func refused() *record.Attributed { return &record.Attributed{Record: recordtest.Refused()} }

// open opens a sink that the test closes. The records in its log have to fit the schema then.
func open(t testing.TB, c config.Sink, o Options) *Sink {
	t.Helper()
	s, err := Open(c, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.out.Close()
		if info, err := os.Stat(c.Path); c.Format == config.JSON && err == nil && info.Mode().IsRegular() {
			checkSchema(t, c.Path)
		}
	})
	return s
}

// checkSchema compares the whole lines of a log with the schema of records.
func checkSchema(t testing.TB, path string) {
	t.Helper()
	log, err := os.ReadFile(path)
	must(t, err)
	for line := range bytes.Lines(log) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			return
		}
		if err := recordtest.Validate(line); err != nil {
			t.Error(err)
		}
	}
}

// must fails the test at an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// logPath is a file in a directory of its own.
func logPath(t testing.TB) string { return filepath.Join(t.TempDir(), "log") }

// writeJSON returns the output of a JSON sink for records.
func writeJSON(t testing.TB, records ...*record.Attributed) string {
	t.Helper()
	var out bytes.Buffer
	s := open(t, config.Sink{Format: config.JSON, Path: "-"}, Options{Stdout: &out})
	for _, r := range records {
		must(t, s.Record(r))
	}
	must(t, s.Close())
	return out.String()
}
