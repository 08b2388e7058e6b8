package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestFill(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "BENCH.md")
	must(t, os.WriteFile(path, []byte("before\n"+marks[0]+"\nold\n"+marks[1]+"\nbehind\n"), 0o600))
	for range 2 { // a second run gives the same file
		must(t, fill(path, "\nnew\n"))
		got, err := os.ReadFile(path)
		must(t, err)
		want := "before\n" + marks[0] + "\n\nnew\n\n" + marks[1] + "\nbehind\n"
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("file (-want +got):\n%s", diff)
		}
	}
	must(t, os.WriteFile(path, []byte("no marks\n"), 0o600))
	if err := fill(path, "new"); err == nil {
		t.Error("a file without marks was filled")
	}
}

func TestSummary(t *testing.T) {
	t.Parallel()
	r := report{
		date:        time.Date(2026, 11, 23, 23, 30, 0, 0, time.UTC),
		routers:     []column{{name: "relay"}, {name: "syntap"}, {name: "syntap-nolog", variant: true}},
		repetitions: 2,
		results: results{
			"relay":  {"1 stream up, Gbit/s": {10, 11}, "1 stream down, Gbit/s": {12}},
			"syntap": {"1 stream up, Gbit/s": {9}, "UDP round trips per second": {13353}},
		},
	}
	got := strings.Split(r.summary(), "\n")
	for _, want := range []string{
		"Measured on 2026-11-23, medians of 2:",
		"| 1 stream up / down, Gbit/s      | 10.5 / 12.0 | 9.00 / – |",
		"| UDP round trips per second      |           – |   13,353 |",
	} {
		if !strings.Contains(strings.Join(got, "\n"), want+"\n") {
			t.Errorf("no line %q in\n%s", want, strings.Join(got, "\n"))
		}
	}
}

// BENCH.md explains every case, and README.md and BENCH.md have room for figures.
func TestDocuments(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"BENCH.md", "README.md"} {
		text, err := os.ReadFile("../../../" + name)
		must(t, err)
		for _, mark := range marks {
			if strings.Count(string(text), mark+"\n") != 1 {
				t.Errorf("%s has not one line %s", name, mark)
			}
		}
		if name != "BENCH.md" {
			continue
		}
		for _, c := range cases() {
			if !strings.Contains(string(text), "\n| "+c.name+" |") {
				t.Errorf("%s does not explain the case %s", name, c.name)
			}
		}
	}
}
