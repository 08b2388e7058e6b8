//go:build unix

package audit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"syntap/cmd/internal/config"
	"syntap/tun/tuntest"
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

func TestFileIsAppendedToOrBegunAnew(t *testing.T) {
	t.Parallel()
	for _, truncate := range []bool{false, true} {
		for _, format := range []config.Format{
			config.Classic, config.Modern, config.JSON, config.OCSF, config.Zeek, config.ECS, config.PCAPNG,
		} {
			path := logPath(t)
			var sizes [2]int64
			for i := range sizes {
				s := open(t, config.Sink{Format: format, Path: path}, Options{Truncate: truncate})
				must(t, s.Record(established(1, start)))
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
		{"dir", "it is a directory"},
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

// A log has one writer. A reload hands it on, and the lock with it.
func TestFileIsLocked(t *testing.T) {
	t.Parallel()
	path := logPath(t)
	c := config.Sink{Format: config.JSON, Path: path, MaxSize: 1 << 20}
	busy := func(when string) {
		t.Helper()
		s, err := Open(c, Options{Truncate: true})
		if want := "open log " + path + ": this process writes it already"; err == nil || err.Error() != want {
			t.Errorf("%s: error = %v, want %s", when, err, want)
		}
		if err == nil {
			must(t, s.Close())
		}
	}
	l := NewLog([]*Sink{open(t, c, Options{})}, LogOptions{})
	stop := running(t, l)
	l.Record(established(1, start))
	tuntest.Wait(t, "its record", func() bool { info, err := os.Stat(path); return err == nil && info.Size() > 0 })
	busy("open")
	c.MaxSize++
	must(t, l.Reload(t.Context(), []config.Sink{c}))
	busy("reloaded")
	must(t, os.Rename(path, path+".1"))
	l.Reopen()
	tuntest.Wait(t, "a new file", func() bool { _, err := os.Stat(path); return err == nil })
	busy("reopened")
	must(t, stop())
	b, err := os.ReadFile(path + ".1")
	must(t, err)
	if got := ports(t, string(b)); len(got) != 1 {
		t.Errorf("log has %d, want its record", got)
	}
	s, err := Open(c, Options{})
	must(t, err)
	must(t, s.Close())
}

// Where the log's name is that of something else, or its directory gone, nothing is written,
// neither there nor to a file under another name; when that is over the log goes on by itself.
func TestFileReplaced(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(path string) error
		mend   func(path string) error
		want   string
	}{
		{"fifo", func(path string) error { return syscall.Mkfifo(path, 0o600) }, os.Remove, "it is not a regular file"},
		{"link", func(path string) error { return os.Symlink(path+".target", path) }, os.Remove, "it is a symbolic link"},
		{"directory", func(path string) error { return os.Mkdir(path, 0o700) }, os.Remove, "it is a directory"},
		{
			"moved directory", func(path string) error { return os.Rename(filepath.Dir(path), filepath.Dir(path)+".old") },
			func(path string) error { return os.Mkdir(filepath.Dir(path), 0o700) }, "no such file or directory",
		},
		{
			"deleted directory", func(path string) error { return os.RemoveAll(filepath.Dir(path)) },
			func(path string) error { return os.Mkdir(filepath.Dir(path), 0o700) }, "no such file or directory",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "dir", "log")
			must(t, os.Mkdir(filepath.Dir(path), 0o700))
			must(t, os.WriteFile(path+".target", []byte("precious"), 0o600))
			s := open(t, config.Sink{Format: config.JSON, Path: path}, Options{})
			s.keep = true // as with on_full: suspend
			must(t, s.Record(established(1, start)))
			must(t, s.Flush())
			must(t, os.Rename(path, path+".1"))
			must(t, tt.change(path))
			must(t, s.Record(established(2, start)))
			for range 2 {
				if err := s.Flush(); err == nil || err.Error() != "open log "+path+": "+tt.want {
					t.Errorf("error = %v, want open log %s: %s", err, path, tt.want)
				}
			}
			must(t, tt.mend(path))
			must(t, s.Flush())
			must(t, s.Close())
			b, err := os.ReadFile(path)
			must(t, err)
			if got := numbers(t, string(b)); !slices.Equal(got, []uint64{2}) {
				t.Errorf("log has %d, want 2", got)
			}
			if b, err := os.ReadFile(path + ".target"); !errors.Is(err, os.ErrNotExist) && string(b) != "precious" {
				t.Errorf("the target of the link is %q, %v", b, err)
			}
		})
	}
}

func TestFileCharacterDevice(t *testing.T) {
	t.Parallel()
	for _, format := range []config.Format{config.Classic, config.JSON, config.PCAPNG} {
		s := open(t, config.Sink{Format: format, Path: os.DevNull}, Options{Truncate: true})
		must(t, s.Record(established(1, start)))
		must(t, s.Close())
	}
}

func TestFormatUnknown(t *testing.T) {
	t.Parallel()
	if _, err := Open(config.Sink{Format: "xml", Path: "-"}, Options{}); err == nil || !strings.Contains(err.Error(), `format "xml" is unknown`) {
		t.Errorf("error = %v", err)
	}
}
