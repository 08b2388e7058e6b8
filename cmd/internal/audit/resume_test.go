package audit

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"syntap/cmd/internal/config"
	"syntap/tap/capture"
)

func TestResumeJSON(t *testing.T) {
	t.Parallel()
	long := `{"time":"x","seq":7,"lines":["` + strings.Repeat("x", 200000) + `"]}` + "\n"
	tests := []struct {
		name string
		in   string
		kept string // the log before the next record
		seq  uint64
		err  string
	}{
		{"empty", "", "", 0, ""},
		{"one record", `{"seq":3}` + "\n", `{"seq":3}` + "\n", 3, ""},
		{"two records", `{"seq":3}` + "\n" + `{"seq":4}` + "\n", `{"seq":3}` + "\n" + `{"seq":4}` + "\n", 4, ""},
		{"long record", long, long, 7, ""},
		{"long records", long + long, long + long, 7, ""},
		{"end of line missing", `{"seq":3}` + "\n" + `{"seq":4}`, `{"seq":3}` + "\n" + `{"seq":4}` + "\n", 4, ""},
		{"end of the only line missing", `{"seq":4}`, `{"seq":4}` + "\n", 4, ""},
		{"broken last record", `{"seq":3}` + "\n" + `{"time":"2026-11`, `{"seq":3}` + "\n", 3, ""},
		{"broken after one byte", `{"seq":3}` + "\n{", `{"seq":3}` + "\n", 3, ""},
		{"broken only record", `{"time":"2026-11`, "", 0, ""},
		{"text", "192.0.2.1.1 > 198.51.100.2.80: S\n", "", 0, "its last line is not a record"},
		{"text without end of line", "precious", "", 0, "it does not end in a record"},
		{"JSON without a number", `{"a":1}` + "\n", "", 0, "its last line is not a record"},
		{"empty last line", `{"seq":3}` + "\n\n", "", 0, "its last line is not a record"},
		{"longer than any record", strings.Repeat("x", 16<<20+100) + "\n", "", 0, "its last line is longer than 16777216 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := logPath(t)
			must(t, os.WriteFile(path, []byte(tt.in), 0o600))
			s, err := Open(config.Sink{Format: config.JSON, Path: path}, Options{})
			if tt.err != "" {
				if err == nil || err.Error() != "open log "+path+": "+tt.err {
					t.Errorf("error = %v, want %s", err, tt.err)
				}
				tt.kept = tt.in
			} else {
				must(t, err)
				must(t, s.Close())
				if s.end.seq != tt.seq {
					t.Errorf("seq = %d, want %d", s.end.seq, tt.seq)
				}
			}
			got, err := os.ReadFile(path)
			must(t, err)
			if string(got) != tt.kept {
				t.Errorf("file is %.100q, want %.100q", got, tt.kept)
			}
		})
	}
}

// A log cut anywhere goes on with whole lines and numbers without a gap.
func TestResumeCutAnywhere(t *testing.T) {
	t.Parallel()
	path := logPath(t)
	whole := writeJSON(t, established(1, start), refused())
	for cut := range len(whole) + 1 {
		must(t, os.WriteFile(path, []byte(whole[:cut]), 0o600))
		s := open(t, config.Sink{Format: config.JSON, Path: path}, Options{})
		must(t, s.Record(refused()))
		must(t, s.Close())
		got, err := os.ReadFile(path)
		must(t, err)
		for i, line := range strings.Split(strings.TrimSuffix(string(got), "\n"), "\n") {
			var record struct{ Seq int }
			if err := json.Unmarshal([]byte(line), &record); err != nil || record.Seq != i+1 {
				t.Fatalf("cut at %d: record %d is %s: %v", cut, i+1, line, err)
			}
		}
	}
}

func TestResumeText(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"": "", "a\n": "a\n", "a\nb": "a\nb\n"} {
		path := logPath(t)
		must(t, os.WriteFile(path, []byte(in), 0o600))
		must(t, open(t, config.Sink{Format: config.Classic, Path: path}, Options{}).Close())
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%q became %q, %v, want %q", in, got, err, want)
		}
	}
}

func TestResumePCAPNG(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	s := open(t, config.Sink{Format: config.PCAPNG, Path: "-"}, Options{Stdout: &out})
	must(t, s.Record(established(1, start)))
	must(t, s.Close())
	path := logPath(t)
	must(t, os.WriteFile(path, out.Bytes()[:out.Len()-9], 0o600)) // in the third packet
	s = open(t, config.Sink{Format: config.PCAPNG, Path: path}, Options{})
	must(t, s.Record(established(2, start)))
	must(t, s.Close())

	f, err := os.Open(path)
	must(t, err)
	defer f.Close()
	r, err := capture.NewReader(f)
	must(t, err)
	for range 2 + 3 {
		_, err := r.Next()
		must(t, err)
	}

	must(t, os.WriteFile(path, []byte("precious\n"), 0o600))
	if _, err := Open(config.Sink{Format: config.PCAPNG, Path: path}, Options{}); err == nil || !strings.HasSuffix(err.Error(), "not a pcapng file") {
		t.Errorf("error = %v, want not a pcapng file", err)
	}
}
