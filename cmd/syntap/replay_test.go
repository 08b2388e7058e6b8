package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"syntap/cmd/internal/format/formattest"
	"syntap/cmd/internal/record/recordtest"
	"syntap/tap/capture"
	"syntap/tap/handshake"
)

// runReplay returns the output of "syntap replay".
func runReplay(t *testing.T, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	cmd := newReplayCommand()
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SilenceUsage = true
	if err := cmd.Execute(); err != nil {
		t.Errorf("replay %q: %v", args, err)
	}
	return out.String()
}

// corpus returns the folder of the captures that were checked against tcpdump.
func corpus(t *testing.T) string {
	dir := os.Getenv("SYNTAP_CORPUS")
	if dir == "" {
		t.Skip("SYNTAP_CORPUS names no corpus of captures")
	}
	return dir
}

// The lines of whole captures equal tcpdump's.
func TestReplayLines(t *testing.T) {
	t.Parallel()
	tests := []struct {
		captures string // a pattern
		flags    []string
	}{
		{"a0[1-9]-*.pcap", nil},
		{"a0[1-9]-*.pcap", []string{"--order", "packet"}},
		{"a12-*.pcap", []string{"--order", "packet"}},
		{"a1[12]-*.pcap", []string{"--all"}},
		{"g*.pcap", []string{"--all"}},
	}
	for _, dir := range []string{"testdata/replay", os.Getenv("SYNTAP_CORPUS")} {
		for _, tt := range tests {
			captures, err := filepath.Glob(filepath.Join(dir, tt.captures))
			if err != nil || dir != "" && len(captures) == 0 {
				t.Errorf("no capture %s in %s: %v", tt.captures, dir, err)
			}
			for _, name := range captures {
				for _, format := range []string{"classic", "modern"} {
					want, err := os.ReadFile(strings.TrimSuffix(name, "pcap") + format + ".txt")
					if err != nil {
						t.Fatal(err)
					}
					args := append([]string{"--format", format, name}, tt.flags...)
					if diff := cmp.Diff(string(want), runReplay(t, args...)); diff != "" {
						t.Errorf("replay %q (-want +got):\n%s", args, diff)
					}
				}
			}
		}
	}
}

// The records of each capture, also of one that rules have changed, fit the schema, in each form.
func TestReplaySchema(t *testing.T) {
	t.Parallel()
	captures, err := filepath.Glob("testdata/replay/*.pcap")
	if err != nil {
		t.Fatal(err)
	}
	validate := map[string]func([]byte) error{
		"json": recordtest.Validate, "ocsf": formattest.OCSF, "zeek": formattest.Zeek, "ecs": formattest.ECS,
	}
	records := make(map[string]int)
	for _, name := range captures {
		for _, flags := range [][]string{nil, {"--mss", "1200", "--df", "clear"}} {
			for format, valid := range validate {
				args := append([]string{"--format", format, name}, flags...)
				for line := range strings.Lines(runReplay(t, args...)) {
					records[format]++
					if err := valid([]byte(line)); err != nil {
						t.Errorf("replay %q: %v", args, err)
					}
				}
			}
		}
	}
	for format := range validate {
		if n := records[format]; n < 2*len(captures) || n != records["json"] {
			t.Errorf("%d records in %d captures as %s, %d as JSON", n, len(captures), format, records["json"])
		}
	}
}

// The outcomes in each capture equal the verdicts of the reference judge.
func TestReplayVerdicts(t *testing.T) {
	t.Parallel()
	dir := corpus(t)
	table, err := os.ReadFile(filepath.Join(dir, "VERDICTS.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	words := map[string]handshake.Outcome{
		"COMPLETE": handshake.Established, "REFUSED": handshake.Refused, "ABORTED": handshake.Aborted, "NO-REPLY": handshake.NoReply, "HALF-OPEN": handshake.HalfOpen,
	}
	judged := map[string]map[handshake.Outcome]int{}
	for line := range strings.Lines(string(table)) {
		column := strings.Split(line, "\t")
		name, verdicts := column[0], column[8]
		if name == "capture" || name == "e02-frag-tiny" { // the latter's streams exist only after reassembly
			continue
		}
		if judged[name] == nil {
			judged[name] = map[handshake.Outcome]int{}
		}
		for verdict := range strings.SplitSeq(verdicts, " / ") { // two attempts that tshark takes for one stream
			word, _, _ := strings.Cut(verdict, " ")
			if outcome, ok := words[word]; ok {
				judged[name][outcome]++
			} else if verdict != "no SYN seen" && verdict != "(see above)" {
				t.Errorf("verdict %q on %s has no outcome", verdict, name)
			}
		}
	}
	for name, want := range judged {
		got := map[handshake.Outcome]int{}
		for line := range strings.Lines(runReplay(t, "--format", "json", filepath.Join(dir, name+".pcap"))) {
			var record struct{ Outcome handshake.Outcome }
			if err := json.Unmarshal([]byte(line), &record); err != nil {
				t.Fatal(err)
			}
			got[record.Outcome]++
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("outcomes in %s (-want +got):\n%s", name, diff)
		}
	}
}

// The file of -w holds the segments that were printed: replayed, it gives the same lines.
func TestReplayWrite(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"testdata/replay/a12-interleaved.pcap", "testdata/replay/d56-mixed-outcomes.pcap", "testdata/replay/a08-v6.pcap"} {
		written := filepath.Join(t.TempDir(), "written.pcapng")
		lines := runReplay(t, "--format", "modern", "-w", written, name)
		if again := runReplay(t, "--all", "--format", "modern", written); again != lines {
			t.Errorf("lines of what was written of %s (-want +got):\n%s", name, cmp.Diff(lines, again))
		}
		// With --all the file is the same: only the lines differ.
		all := filepath.Join(t.TempDir(), "all.pcapng")
		runReplay(t, "--all", "-w", all, name)
		if diff := cmp.Diff(packets(t, written), packets(t, all)); diff != "" {
			t.Errorf("packets of %s without and with --all:\n%s", name, diff)
		}
	}
}

// packets reads a capture.
func packets(t *testing.T, name string) (packets [][]byte) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := capture.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for {
		p, err := r.Next()
		if err == io.EOF {
			return packets
		}
		if err != nil {
			t.Fatal(err)
		}
		packets = append(packets, bytes.Clone(p.Frame))
	}
}

// With rules the file of -w holds every packet in the frame that it was captured in.
func TestReplayWritePassed(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a11-full-session", "g08-vlan", "a08-v6"} {
		name = filepath.Join("testdata/replay", name+".pcap")
		written := filepath.Join(t.TempDir(), "written.pcapng")
		runReplay(t, "--mss", "off", "-w", written, name)
		if diff := cmp.Diff(packets(t, name), packets(t, written)); diff != "" {
			t.Errorf("packets of %s where nothing is to be changed (-want +got):\n%s", name, diff)
		}
		lines := runReplay(t, "--mss", "1300", "--format", "modern", "-w", written, name)
		before, after := packets(t, name), packets(t, written)
		if len(before) != len(after) || slices.EqualFunc(before, after, bytes.Equal) {
			t.Errorf("%s: %d packets became %d, or none has changed", name, len(before), len(after))
		}
		// The result has nothing left to clamp.
		if again := runReplay(t, "--mss", "1300", "--format", "json", written); strings.Contains(again, `"what"`) {
			t.Errorf("%s: rewritten twice: %s\nfirst lines:\n%s", name, again, lines)
		}
	}
}
