package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"syntap/cmd/internal/hint"
)

// TestHostile parses input that is no config: the report is short and printable, whatever the
// input.
func TestHostile(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		data string
		want string // contained in the report
	}{
		{"binary", "\x7fELF\x02\x01\x01\x00\x00", "test.yaml:1:5: control characters are not allowed"},
		{"not UTF-8", "tap: {}\ntun: \xff\xfe", "test.yaml:2:6: invalid"},
		{"deep flow", strings.Repeat("[", maxFile), "exceeded max depth"},
		{"deep blocks", strings.Repeat("- ", maxFile/2), "exceeded max depth"},
		{"long key", strings.Repeat("k", maxFile/2) + ": 1", "unknown key"},
		{"long value", "tun: {name: " + strings.Repeat("n", maxFile/2) + "}", "is no interface name"},
		{"many unknown keys", strings.Repeat("k: 1\n", maxFile/8), "more problems"},
		{"many bad elements", "route: {include: [" + strings.Repeat("x,", maxFile/8) + "x]}", "more problems"},
		{"unknown alias", "tun: *" + strings.Repeat("a", maxFile/2), "unknown anchor"},
		{"anchor on itself", "tun: &t {name: *t}", "is an alias"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse("test.yaml", []byte(tt.data))
			checkReport(t, err)
			if !strings.Contains(reported(err), tt.want) {
				t.Errorf("report = %.300q, want %q in it", reported(err), tt.want)
			}
		})
	}
}

// checkReport fails when a report is longer or wilder than a person can read.
func checkReport(t *testing.T, err error) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(reported(err), "\n"), "\n")
	if most := 2*maxProblems + 1; len(lines) > most {
		t.Errorf("report has %d lines, want at most %d", len(lines), most)
	}
	for _, line := range lines {
		if len(line) > 500 {
			t.Errorf("line of %d bytes in the report: %.100q", len(line), line)
		}
		if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Errorf("control character in the report: %q", line)
		}
	}
}

// FuzzParse: every input is either refused with a readable report, or marshals to a config that
// parses to the same.
func FuzzParse(f *testing.F) {
	f.Add([]byte(every))
	files, err := filepath.Glob("testdata/bad-*.yaml")
	if err != nil || len(files) == 0 {
		f.Fatalf("Glob = %v, %v, want the bad configs", files, err)
	}
	for _, file := range append(files, referenceFile) {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("tun: {spin: 1ms}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		d := newDocument("fuzz.yaml")
		c := d.parse(data)
		if err := report(d.problems); err != nil {
			checkReport(t, err)
			return
		}
		marshalled, err := c.Marshal()
		if err != nil {
			t.Fatalf("Marshal: %v", err)
		}
		d = newDocument("marshalled.yaml")
		again := d.parse(marshalled)
		if err := report(d.problems); err != nil {
			t.Fatalf("%v\nin\n%s", err, marshalled)
		}
		c.Outdated = nil // the marshalled config has the new names
		if diff := cmp.Diff(c, again, compare); diff != "" {
			t.Errorf("parse of the marshalled config differs (-want +got):\n%s", diff)
		}
	})
}

func TestLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name string, data []byte, mode os.FileMode) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, data, mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, mode); err != nil { // the umask has taken bits away
			t.Fatal(err)
		}
		return file
	}
	tests := []struct {
		name string
		file string
		want string // the report
	}{
		{"built in", "", ""},
		{"good", write("good.yaml", []byte(every[:0]), 0o644), ""},
		{"missing", filepath.Join(dir, "missing.yaml"), "open DIR/missing.yaml: no such file or directory\nhint: \"syntap check\" prints a complete config to start from\n"},
		{"directory", dir, "DIR: is a directory\n"},
		{"writable by all", write("open.yaml", nil, 0o666), "DIR/open.yaml: can be written by every user\nhint: chmod o-w DIR/open.yaml\n"},
		{"10 MB", write("large.yaml", make([]byte, 10e6), 0o600), "DIR/large.yaml: is larger than 1MiB\n"},
		{"bad", write("bad.yaml", []byte("tun: 1"), 0o600), "DIR/bad.yaml:1:6: tun: is a single value, not a mapping\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, err := Load(tt.file)
			if got := strings.ReplaceAll(reported(err), dir, "DIR"); got != tt.want {
				t.Errorf("Load(%q) reports %q, want %q", tt.file, got, tt.want)
			}
			if status := hint.Report(&strings.Builder{}, err); err != nil && status != hint.StatusUsage {
				t.Errorf("Load(%q): status %d, want %d", tt.file, status, hint.StatusUsage)
			}
			if err == nil {
				if diff := cmp.Diff(Default(), c, compare); diff != "" {
					t.Errorf("Load(%q) is not the default (-want +got):\n%s", tt.file, diff)
				}
			}
		})
	}
}
