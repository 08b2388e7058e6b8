package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"syntap/cmd/internal/record/schema"
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
		command = strings.Replace(command, "policy.yaml this-build.json", "../../configs/policies/git-ssh.yaml", 1)
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

// TestLnavKeys: the keys that lnav's format names are keys of records.
func TestLnavKeys(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../configs/lnav/syntap.json")
	if err != nil {
		t.Fatal(err)
	}
	var formats struct {
		Syntap struct {
			Value      map[string]any    `json:"value"`
			LineFormat []json.RawMessage `json:"line-format"`
		} `json:"syntap"`
	}
	if err := json.Unmarshal(text, &formats); err != nil {
		t.Fatal(err)
	}
	keys := slices.Collect(maps.Keys(formats.Syntap.Value))
	for _, part := range formats.Syntap.LineFormat {
		var field struct{ Field string }
		if json.Unmarshal(part, &field) == nil && field.Field != "__timestamp__" {
			keys = append(keys, field.Field)
		}
	}
	for _, key := range keys {
		if !strings.Contains(string(schema.Text()), fmt.Sprintf("%q: {", key)) {
			t.Errorf("no record has the key %q", key)
		}
	}
	if len(keys) < 20 {
		t.Errorf("keys %q, want more", keys)
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
