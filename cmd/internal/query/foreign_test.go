package query

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/filter"
)

// What others have written is read if it is JSON, whatever its form; what is no record is named by
// file and line. A record in two files counts once.
func TestForeign(t *testing.T) {
	t.Parallel()
	const n = 40
	dir := t.TempDir()
	ours := write(t, config.Sink{Format: config.JSON, Path: filepath.Join(dir, "ours.json")}, attempts(n))
	whole, err := os.ReadFile(ours)
	if err != nil {
		t.Fatal(err)
	}
	file := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	var pretty, spaced bytes.Buffer
	for line := range bytes.Lines(whole) {
		if err := json.Indent(&pretty, line, "", "  "); err != nil {
			t.Fatal(err)
		}
		spaced.WriteString(strings.ReplaceAll(string(line), `,"`, `, "`))
	}
	lines := strings.SplitAfter(string(whole), "\n")
	first, second := strings.Join(lines[:30], ""), strings.Join(lines[20:], "")
	top := func(files ...string) string {
		var out strings.Builder
		err := Run(Query{Top: []string{"outcome"}}, files, &out)
		return fmt.Sprint(out.String(), err)
	}
	const all = "      30  established\n      10  refused\n"
	var zipped, other bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write(whole) // to memory
	_ = z.Close()
	zs, err := zstd.NewWriter(&other)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = zs.Write(whole)
	_ = zs.Close()
	text := write(t, config.Sink{Format: config.Modern, Path: filepath.Join(dir, "text")}, attempts(2))
	for _, tt := range []struct {
		name  string
		files []string
		want  string
	}{
		{"spaces", []string{file("spaced", spaced.String())}, all + "<nil>"},
		{"over several lines", []string{file("pretty", pretty.String())}, all + "<nil>"},
		{"the last line without an end", []string{file("endless", strings.TrimSuffix(string(whole), "\n"))}, all + "<nil>"},
		{"the last line cut short", []string{file("cut", string(whole)+lines[0][:100])}, all + "<nil>"},
		{"twice", []string{ours, ours}, all + "<nil>"},
		{"as it is, with spaces, over several lines", []string{ours, file("s", spaced.String()), file("p", pretty.String())}, all + "<nil>"},
		{"overlapping", []string{file("1", first), file("2", second)}, all + "<nil>"},
		{"gzip under another name", []string{file("log.1", zipped.String())}, all + "<nil>"},
		{"gzip cut short", []string{file("gzip", zipped.String()[:zipped.Len()-20])}, "read " + dir + "/gzip: the file is cut short"},
		{"zstd", []string{file("log.zst", other.String())}, all + "<nil>"},
		{"zstd cut short", []string{file("zstd", other.String()[:other.Len()-20])}, "read " + dir + "/zstd: the file is cut short"},
		{"xz", []string{file("log.xz", "\xfd7zXZ\x00\x00\x04")}, dir + "/log.xz: compressed with xz"},
		{"another line", []string{file("other", lines[0]+"\nroot:x:0:0\n"+lines[1])}, "       2  established\n" + dir + "/other:3: not a record"},
		{"a line longer than any record", []string{file("long", lines[0]+strings.Repeat("x", 3<<20)+"\n"+lines[1])}, "       2  established\n" + dir + "/long:2: not a record"},
		{"the same without an end", []string{file("longer", lines[0]+strings.Repeat("x", 3<<20))}, "       1  established\n" + dir + "/longer:2: not a record"},
		{"broken over several lines", []string{file("bp", pretty.String()[:len(pretty.String())-3])}, "%d: not a record"},
		{"text", []string{text}, text + ":1: not a record\n" + text + ":2: not a record"},
		{"much text", []string{file("much", strings.Repeat("x\n", 1000))}, dir + "/much: not records either: 990 more lines"},
		{"one word", []string{file("word", "secret")}, dir + "/word:1: not a record"},
		{"a log of a program", []string{file("logrus", `{"level":"info","msg":"routing","time":"2026-11-23T07:50:00Z"}`)}, dir + "/logrus:1: not a record"},
	} {
		got := top(tt.files...)
		if !strings.Contains(got, strings.TrimPrefix(tt.want, "%d")) || strings.HasSuffix(tt.want, "<nil>") && got != tt.want {
			t.Errorf("%s: %s\nwant %s", tt.name, got, tt.want)
		}
	}
}

// Times of other zones and fractions are compared as times.
func TestForeignTimes(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "log")
	var lines string
	for i, at := range []string{"2026-11-23T07:49:59.999999Z", "2026-11-23T08:50:00+01:00", "2026-11-23T07:50:00Z", "2026-11-23T07:50:00.5Z", "2026-11-23T08:00:00+01:00"} {
		lines += fmt.Sprintf(`{"time":%q,"msg":"handshake","seq":%d,"outcome":"refused"}`+"\n", at, i+1)
	}
	if err := os.WriteFile(file, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := Run(Query{Top: []string{"outcome"}, Filter: filter.Filter{Since: start, Until: start.Add(time.Second)}}, []string{file}, &out); err != nil {
		t.Error(err)
	}
	if got := out.String(); got != "       3  refused\n" {
		t.Errorf("found %s, want 3", got)
	}
}
