package main

import (
	"errors"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"syntap/cmd/internal/hint"
)

func TestParse(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		args []string
		want int // exit status
	}{
		{"nothing", nil, 0},
		{"all", []string{"-n", "1", "-seconds", "0.5", "-only", "idle|up", "-o", "x.md", "relay"}, 0},
		{"help", []string{"-h"}, 0},
		{"unknown flag", []string{"-x"}, 2},
		{"no repetition", []string{"-n", "0"}, 2},
		{"no time", []string{"-seconds", "0"}, 2},
		{"not a time", []string{"-seconds", "NaN"}, 2},
		{"endless", []string{"-seconds", "1e300"}, 2},
		{"nothing held", []string{"-hold", "-1"}, 2},
		{"small packets", []string{"-mtu", "100"}, 2},
		{"not a regexp", []string{"-only", "("}, 2},
	}
	for _, tt := range tests {
		_, err := parse(tt.args, io.Discard)
		if got := hint.Report(io.Discard, err); got != tt.want {
			t.Errorf("parse, %s: %v, status %d, want %d", tt.name, err, got, tt.want)
		}
	}
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	want := "go run ./cmd/internal/bench -only '8 streams|idle' -n 1 relay"
	if got := commandLine([]string{"-only", "8 streams|idle", "-n", "1", "relay"}); got != want {
		t.Errorf("commandLine = %s, want %s", got, want)
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	all := []router{
		{name: "relay"},
		{name: "a", program: program{command: "no-such-peer", variable: "A"}},
		{name: "b", program: program{command: "sh"}},
	}
	tests := []struct {
		name   string
		chosen []string
		env    string // of A
		want   []string
	}{
		{"what is installed", nil, "", []string{"relay", "b"}},
		{"in the table's order", []string{"b", "relay"}, "", []string{"relay", "b"}},
		{"unknown", []string{"c"}, "", nil},
		{"named, not installed", []string{"a"}, "", nil},
		{"environment names nothing", nil, "/nowhere", nil},
	}
	for _, tt := range tests {
		getenv := func(name string) string { return map[string]string{"A": tt.env}[name] }
		found, _, err := choose(all, tt.chosen, getenv)
		if diff := cmp.Diff(tt.want, names(found)); diff != "" || (err == nil) != (tt.want != nil) {
			t.Errorf("choose, %s: %v (-want +got):\n%s", tt.name, err, diff)
		}
		if e := (*hint.Error)(nil); err != nil && (!errors.As(err, &e) || e.Hint == "") {
			t.Errorf("choose, %s: %v has no hint", tt.name, err)
		}
	}
}

func TestCPUModel(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, cpuinfo, want string
	}{
		{"x86", "processor\t: 0\nmodel\t\t: 17\nmodel name\t: AMD EPYC\n", "AMD EPYC"},
		{"arm64", "processor\t: 0\nBogoMIPS\t: 50.00\n", "unknown processor"},
	}
	for _, tt := range tests {
		if got := cpuModel(tt.cpuinfo); got != tt.want {
			t.Errorf("cpuModel, %s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
