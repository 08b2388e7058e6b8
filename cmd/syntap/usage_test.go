package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// each calls f with a command and all commands below it.
func each(cmd *cobra.Command, f func(*cobra.Command)) {
	f(cmd)
	for _, sub := range cmd.Commands() {
		each(sub, f)
	}
}

// TestHelps: helps fit a terminal, and name values without backticks.
func TestHelps(t *testing.T) {
	t.Parallel()
	root := newRootCommand()
	each(root, func(cmd *cobra.Command) {
		if strings.HasPrefix(cmd.CommandPath(), "syntap completion ") { // cobra's text
			return
		}
		var help bytes.Buffer
		cmd.SetOut(&help)
		if err := cmd.Help(); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(help.String()) {
			if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > widestHelp {
				t.Errorf("%s --help has %d columns, want %d at most: %s", cmd.CommandPath(), n, widestHelp, line)
			}
		}
		cmd.Flags().VisitAll(func(flag *pflag.Flag) {
			if strings.Contains(flag.Usage, "`") {
				t.Errorf("%s --%s: backticks in %q", cmd.CommandPath(), flag.Name, flag.Usage)
			}
		})
	})
}

// TestNarrowHelps: helps fit a terminal of 80 columns, and say the same there.
func TestNarrowHelps(t *testing.T) {
	t.Parallel()
	each(newRootCommand(), func(cmd *cobra.Command) {
		narrow := fill(cmd.Long, 80) + "\n" + usageOf(cmd, 80)
		for line := range strings.Lines(narrow) {
			if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 80 && !strings.HasPrefix(line, "  syntap ") {
				t.Errorf("%s --help has %d columns on a terminal of 80: %s", cmd.CommandPath(), n, line)
			}
		}
		words := strings.Fields(cmd.Long + "\n" + usageOf(cmd, widestHelp))
		if got := strings.Fields(narrow); !slices.Equal(got, words) {
			t.Errorf("%s --help says on a terminal of 80 columns\n%s", cmd.CommandPath(), narrow)
		}
	})
}

// TestFlagsNameTheirValues: the name that a usage has in backticks is that of the value in help.
func TestFlagsNameTheirValues(t *testing.T) {
	t.Parallel()
	cmd, _, err := newRootCommand().Find([]string{"replay"})
	if err != nil {
		t.Fatal(err)
	}
	usage := cmd.UsageString()
	for _, want := range []string{"--config FILE ", "--path-mtu BYTES ", "--format WORD "} {
		if !strings.Contains(usage, want) {
			t.Errorf("usage of replay lacks %q:\n%s", want, usage)
		}
	}
	if strings.Contains(usage, "(default )") || strings.Contains(usage, "(default [])") {
		t.Errorf("usage of replay has empty defaults:\n%s", usage)
	}
}

// TestPortOrGroup: an address that may be meant as another with a port gets a warning.
func TestPortOrGroup(t *testing.T) {
	t.Parallel()
	cmd := new(cobra.Command)
	p := addPolicyFlags(cmd)
	args := []string{"--allow", "2001:db8::1", "--deny", "::1:80/tcp", "--allow", "[::1]:80", "--allow", "[::1:80]"}
	if err := cmd.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	p.warn(&got)
	const want = `syntap: warning: --deny ::1:80/tcp has an address without a port
hint: port 80 of ::1 is [::1]:80, and the address [::1:80]
`
	if got.String() != want {
		t.Errorf("warned\n%s\nwant\n%s", got.String(), want)
	}
}
