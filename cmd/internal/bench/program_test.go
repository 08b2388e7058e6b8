package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"syntap/tun/tuntest"
)

// script writes a program that prints a text.
func script(t *testing.T, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "program")
	tuntest.WriteProgram(t, path, []byte("#!/bin/sh\nprintf '"+text+"'\n"))
	return path
}

func TestVersionOf(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if got := versionOf(self); !strings.HasSuffix(got, runtime.Version()) {
		t.Errorf("versionOf this test = %q, want its Go version %s", got, runtime.Version())
	}
	tests := []struct {
		name, says, want string
	}{
		{"one line", "pasta 0.0~git20250503\\n", "pasta 0.0~git20250503"},
		{"first of many", "peer 1.2\\nCopyright\\n", "peer 1.2"},
		{"nothing", "", ""},
		{"unknown, in no package", "pasta unknown version\\n", ""},
	}
	for _, tt := range tests {
		if got := versionOf(script(t, tt.says)); got != tt.want {
			t.Errorf("versionOf, %s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	there := script(t, "")
	none := func(string) string { return "" }
	tests := []struct {
		name    string
		program program
		getenv  func(string) string
		want    string // "" = an error
	}{
		{"named by the environment", program{command: "no-such-peer"}, func(string) string { return there }, there},
		{"built, not installed", program{command: "no-such-peer", built: there}, none, there},
		{"neither", program{command: "no-such-peer", built: there + "x"}, none, ""},
		{"environment names nothing", program{command: "sh"}, func(string) string { return there + "x" }, ""},
	}
	for _, tt := range tests {
		got, err := tt.program.find(tt.getenv)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("find, %s: %q, %v, want %q", tt.name, got, err, tt.want)
		}
	}
}
