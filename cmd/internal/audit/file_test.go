//go:build unix

package audit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"syntap/cmd/internal/config"
)

func TestFileIsMade(t *testing.T) {
	t.Parallel()
	path := logPath(t)
	s := open(t, config.Sink{Format: config.JSON, Path: path}, Options{})
	must(t, s.Record(refused()))
	must(t, s.Close())
	info, err := os.Stat(path)
	must(t, err)
	must(t, os.WriteFile(path+".mode", nil, 0o640)) // as far as the umask lets it be
	want, err := os.Stat(path + ".mode")
	must(t, err)
	if info.Mode() != want.Mode() || info.Size() == 0 {
		t.Errorf("mode %v, size %d, want %v and a record", info.Mode(), info.Size(), want.Mode())
	}
}

// A link that is made between looking and opening is not followed either.
func TestFileBecomesLink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, target, next := filepath.Join(dir, "log"), filepath.Join(dir, "target"), filepath.Join(dir, "next")
	must(t, os.WriteFile(target, nil, 0o600))
	precious, err := os.Stat(target)
	must(t, err)
	swapped := make(chan error, 1)
	go func() {
		var err error
		for i := 0; i < 2000 && err == nil; i++ {
			if i%2 == 0 {
				err = os.Symlink(target, next)
			} else {
				err = os.WriteFile(next, nil, 0o600)
			}
			err = errors.Join(err, os.Rename(next, path))
		}
		swapped <- err
	}()
	opened := 0
	for done := false; !done; {
		select {
		case err := <-swapped:
			must(t, err)
			done = true
		default:
		}
		f, err := openFile(path, os.O_APPEND)
		if err != nil {
			continue
		}
		opened++
		info, err := f.Stat()
		must(t, errors.Join(err, f.Close()))
		if os.SameFile(info, precious) {
			t.Fatal("the target of the link was opened")
		}
	}
	if opened == 0 {
		t.Error("no file was opened")
	}
}

func TestFileIsAppendedToOrBegunAnew(t *testing.T) {
	t.Parallel()
	for _, truncate := range []bool{false, true} {
		for _, format := range []config.Format{config.Classic, config.Modern, config.JSON, config.PCAPNG} {
			path := logPath(t)
			var sizes [2]int64
			for i := range sizes {
				s := open(t, config.Sink{Format: format, Path: path}, Options{Truncate: truncate})
				must(t, s.Record(handshake(1, start)))
				must(t, s.Close())
				info, err := os.Stat(path)
				must(t, err)
				sizes[i] = info.Size()
			}
			if (sizes[1] == sizes[0]) != truncate || sizes[1] == 0 {
				t.Errorf("%s, truncate %t: %d bytes after the first run, %d after the second", format, truncate, sizes[0], sizes[1])
			}
		}
	}
}

func TestFileRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	must(t, os.WriteFile(path("target"), []byte("precious\n"), 0o600))
	must(t, os.Symlink("target", path("link")))
	must(t, os.Symlink("nothing", path("dangling")))
	must(t, os.Mkdir(path("dir"), 0o755))
	must(t, syscall.Mkfifo(path("fifo"), 0o600))
	must(t, os.Mkdir(path("open"), 0o755))
	must(t, os.Chmod(path("open"), 0o777))
	must(t, os.Mkdir(path("tmp"), 0o755))
	must(t, os.Chmod(path("tmp"), 0o777|os.ModeSticky))

	tests := []struct{ file, want string }{
		{"link", "it is a symbolic link"},
		{"dangling", "it is a symbolic link"},
		{"dir", "is a directory"},
		{"fifo", "it is not a regular file"},
		{"open/log", "directory " + path("open") + " is writable by everyone and has no sticky bit"},
		{"missing/log", "no such file or directory"},
		{"target/log", "not a directory"},
		{"tmp/log", ""},
	}
	for _, tt := range tests {
		s, err := Open(config.Sink{Format: config.JSON, Path: path(tt.file)}, Options{Truncate: true})
		if tt.want == "" {
			must(t, err)
			must(t, s.Close())
			continue
		}
		if want := "open log " + path(tt.file) + ": " + tt.want; fmt.Sprint(err) != want {
			t.Errorf("error = %v\nwant    %s", err, want)
		}
	}
	if b, err := os.ReadFile(path("target")); err != nil || string(b) != "precious\n" {
		t.Errorf("target of the link is now %q, %v", b, err)
	}
}

func TestFileCharacterDevice(t *testing.T) {
	t.Parallel()
	for _, format := range []config.Format{config.Classic, config.JSON, config.PCAPNG} {
		s := open(t, config.Sink{Format: format, Path: os.DevNull}, Options{Truncate: true})
		must(t, s.Record(handshake(1, start)))
		must(t, s.Close())
	}
}

func TestFormatUnknown(t *testing.T) {
	t.Parallel()
	if _, err := Open(config.Sink{Format: "xml", Path: "-"}, Options{}); err == nil || !strings.Contains(err.Error(), `format "xml" is unknown`) {
		t.Errorf("error = %v", err)
	}
}
