//go:build linux

package keeper

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestHostFile has a file made, written, replaced and removed.
func TestHostFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "passwd")
	f := hostFile{path: path}
	f.look()
	write := func(name, text string, at time.Time) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, at, at); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	for _, step := range []struct {
		name string
		do   func()
		want bool
	}{
		{"nothing", func() {}, false},
		{"made", func() { write(path, "a", now) }, true},
		{"not touched", func() {}, false},
		{"as long, written later", func() { write(path, "b", now.Add(time.Second)) }, true},
		{"longer", func() { write(path, "bb", now.Add(time.Second)) }, true},
		{"replaced", func() {
			write(path+"+", "bb", now.Add(time.Second))
			if err := os.Rename(path+"+", path); err != nil {
				t.Fatal(err)
			}
		}, true},
		{"removed", func() { _ = os.Remove(path) }, true},
		{"still removed", func() {}, false},
	} {
		step.do()
		if got := f.changed(); got != step.want {
			t.Errorf("%s: changed %v, want %v", step.name, got, step.want)
		}
	}
}
