package main

import (
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestThreatModel looks for the tests by which the threat model shows its claims. Each that it
// names exists.
func TestThreatModel(t *testing.T) {
	t.Parallel()
	module := os.DirFS("../..")
	model, err := fs.ReadFile(module, "configs/threat-model.md")
	if err != nil {
		t.Fatal(err)
	}
	exists := make(map[string]bool)
	err = fs.WalkDir(module, ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := fs.ReadFile(module, path)
		for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`).FindAllSubmatch(b, -1) {
			exists[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`((?:Test|Fuzz)\\w+)`").FindAllSubmatch(model, -1)
	if len(named) < 50 {
		t.Errorf("the threat model names %d tests", len(named))
	}
	for _, m := range named {
		if !exists[string(m[1])] {
			t.Errorf("the threat model names %s, which is no test", m[1])
		}
	}
}
