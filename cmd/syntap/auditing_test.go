package main

import (
	"os"
	"strings"
	"testing"
	"time"
)

// TestAuditing has log read the questions of configs/auditing.md.
func TestAuditing(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../configs/auditing.md")
	if err != nil {
		t.Fatal(err)
	}
	questions := 0
	for line := range strings.Lines(string(text)) {
		command, ok := strings.CutPrefix(strings.TrimSpace(line), "$ syntap log ")
		if !ok {
			continue
		}
		questions++
		command, _, _ = strings.Cut(command, " | ")
		f := newLogFlags()
		cmd := f.command()
		if err := cmd.ParseFlags(words(command)); err != nil {
			t.Errorf("%s: %v", line, err)
		} else if _, err := f.query(time.Now()); err != nil || cmd.Flags().NArg() > 0 {
			t.Errorf("%s: %v, arguments %q", line, err, cmd.Flags().Args())
		}
	}
	if questions < 10 {
		t.Errorf("%d questions, want more", questions)
	}
}

// words splits a command as a shell does, as far as single quotes go.
func words(command string) (all []string) {
	for i, part := range strings.Split(command, "'") {
		if i%2 == 1 {
			all = append(all, part)
		} else {
			all = append(all, strings.Fields(part)...)
		}
	}
	return all
}
