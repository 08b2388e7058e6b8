package e2e_test

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// TestRotation has a log rotated by size and by the real logrotate at once while connections are
// made: nothing is lost, and no line is broken.
func TestRotation(t *testing.T) {
	t.Parallel()
	requireTools(t, "logrotate")
	lab := tuntest.NewLab(t)
	r := run(t, lab.Router, "syntap0", `
tun: {name: syntap0}
tap:
  log:
    - {format: json, path: DIR/handshakes.json, max_size: 64KiB, max_files: 10000, compress: true}
    - {format: modern, path: DIR/handshakes.txt}
`)
	rotate := filepath.Join(r.dir, "logrotate.conf")
	config := fmt.Sprintf(`%[1]s/handshakes.json %[1]s/handshakes.txt {
	su root root
	rotate 100
	create 0640
	sharedscripts
	postrotate
		kill -HUP %[2]d
	endscript
}
`, r.dir, r.PID())
	if err := os.WriteFile(rotate, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	rounds, each := scaled(4, 60), 500
	serveEchoes(lab)
	for range rounds {
		connectEchoes(t, lab, each)
		lab.Router.Run("logrotate", "--force", "--state", filepath.Join(r.dir, "state"), rotate)
	}
	connections := rounds * each
	r.wait(t, "records in the files that logrotate has made", func() bool {
		connectEchoes(t, lab, 1)
		connections++
		return r.read(t, "handshakes.json") != "" && r.read(t, "handshakes.txt") != ""
	})
	r.stop(t, unix.SIGTERM)
	all := r.rotated(t)
	slices.SortFunc(all, func(a, b record) int { return int(a.Seq) - int(b.Seq) })
	if last := all[len(all)-1]; last.Message != "end" {
		t.Errorf("the last record is %+v, want the end of the run", last)
	}
	all = all[:len(all)-1]
	// On a busy machine a write may take longer than a second: new connections wait then, and a gap
	// says how many packets did. No record is lost by that.
	waited := func(r record) bool { return r.Message == "gap" && r.Reason == "suspended" }
	for i, record := range all {
		if record.Seq != uint64(i+1) || record.Outcome != "established" && record.Message != "flow" && !waited(record) {
			t.Fatalf("record %d: %+v", i+1, record)
		}
	}
	all = slices.DeleteFunc(all, func(r record) bool { return r.Message == "flow" || waited(r) })
	lines, want := 0, 0
	for _, r := range all {
		want += len(r.Lines) // three, and the segments that were repeated
	}
	for _, name := range r.files(t, "handshakes.txt*") {
		lines += strings.Count(readLog(t, name), "\n")
	}
	if len(all) != connections || want < 3*connections || lines != want {
		t.Errorf("%d records of %d lines and %d lines of text, want %d records", len(all), want, lines, connections)
	}
	if names := r.files(t, "handshakes-*.json.gz"); len(names) == 0 {
		t.Errorf("files %q, want compressed ones", r.files(t, "handshakes*"))
	}
}

// files returns the names of the router's files that match.
func (r *router) files(t *testing.T, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(r.dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// rotated returns the records of a JSON log without a writer, from all of its files, in no
// order. It fails at a line that is not whole.
func (r *router) rotated(t *testing.T) (all []record) {
	t.Helper()
	for _, name := range r.files(t, "handshakes*json*") {
		for line := range strings.Lines(readLog(t, name)) {
			var next record
			if err := json.Unmarshal([]byte(line), &next); err != nil {
				t.Fatalf("%s: %v: %q", name, err, line)
			}
			all = append(all, next)
		}
	}
	return all
}

// readLog reads a file of a log, compressed or not.
func readLog(t *testing.T, name string) string {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(name, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
