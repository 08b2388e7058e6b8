package main

import (
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"syntap/cmd/internal/version"
)

// TestUsage compares the hand-written usage with the commands.
func TestUsage(t *testing.T) {
	t.Parallel()
	root := newRootCommand()
	var want []string
	for _, cmd := range root.Commands() {
		if cmd.IsAvailableCommand() && cmd.Name() != "help" {
			want = append(want, cmd.Name())
		}
	}
	var got []string
	for line := range strings.Lines(usage) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "syntap" && strings.HasPrefix(line, " ") {
			got = append(got, fields[1])
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" { // cobra keeps its commands sorted
		t.Errorf("commands in the usage differ (-want +got):\n%s", diff)
	}
	for line := range strings.Lines(usage) {
		if len(line) > 80+len("\n") {
			t.Errorf("line longer than 80 characters in the usage: %q", line)
		}
	}
}

func TestVersions(t *testing.T) {
	t.Parallel()
	info := &debug.BuildInfo{
		GoVersion: "go1.26.3",
		Deps: []*debug.Module{
			{Path: "github.com/spf13/cobra", Version: "v1.10.2"},
			{Path: "golang.zx2c4.com/wireguard", Version: "v0.0.1"},
			{Path: "gvisor.dev/gvisor", Version: "v0.0.2"},
		},
	}
	want := "syntap " + version.String() + "\ngo1.26.3 " + runtime.GOOS + "/" + runtime.GOARCH + "\ngolang.zx2c4.com/wireguard v0.0.1\ngvisor.dev/gvisor v0.0.2\n"
	if got := versions(info); got != want {
		t.Errorf("versions = %q, want %q", got, want)
	}
}
