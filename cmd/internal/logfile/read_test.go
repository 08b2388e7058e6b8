//go:build unix

package logfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestOpenCompressed: a file that is there compressed, and cannot be opened, is not missing.
func TestOpenCompressed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log.json")
	if _, err := OpenRead(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v of a file that is missing", err)
	}
	if err := os.Symlink(path+gzipSuffix, path+gzipSuffix); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenRead(path); !errors.Is(err, syscall.ELOOP) {
		t.Errorf("error %v of one that leads to itself, want ELOOP", err)
	}
}
