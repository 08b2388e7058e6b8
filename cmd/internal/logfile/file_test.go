//go:build unix

package logfile

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/sirupsen/logrus"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// disk takes only room more bytes.
type disk struct {
	*os.File
	room int
}

func (d *disk) Write(b []byte) (int, error) {
	if len(b) <= d.room {
		d.room -= len(b)
		return d.File.Write(b)
	}
	n, err := d.File.Write(b[:d.room])
	d.room = 0
	return n, errors.Join(err, syscall.ENOSPC)
}

// What a full disk has taken of a batch is taken back, so that the next batch follows the last
// whole one; the head comes first in each file.
func TestWriteToFullDisk(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	var d *disk
	o := Options{Path: path, Head: []byte("head\n"), Logger: logrus.New(), Writer: func(f *os.File) io.Writer {
		d = &disk{f, 14}
		return d
	}}
	f, err := Open(o)
	must(t, err)
	if _, err := f.Write([]byte("one\n")); err != nil || f.Size() != 9 {
		t.Errorf("size %d, %v", f.Size(), err)
	}
	if n, err := f.Write([]byte("too long\n")); n != 0 || !errors.Is(err, syscall.ENOSPC) || f.Torn() {
		t.Errorf("%d bytes are out, torn %t, %v", n, f.Torn(), err)
	}
	d.room = 100
	_, err = f.Write([]byte("two\n"))
	must(t, err)
	must(t, f.Rotate())
	if !f.Rotated() || f.Rotated() {
		t.Error("the rotation is not reported once")
	}
	d.room = 100
	_, err = f.Write([]byte("three\n"))
	must(t, errors.Join(err, f.Close()))
	files, err := Files(path)
	must(t, err)
	var all []string
	for _, file := range files {
		b, err := os.ReadFile(file)
		must(t, err)
		all = append(all, string(b))
	}
	if got := strings.Join(all, "|"); got != "head\none\ntwo\n|head\nthree\n" {
		t.Errorf("files hold %q", got)
	}
}

// A stream cannot take bytes back: the line is ended instead.
func TestWriteToStream(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	f := NewStream(&limited{&out, 8}, nil)
	if n, err := f.Write([]byte("a long line\n")); n != 8 || err == nil || !f.Torn() {
		t.Errorf("%d bytes are out, torn %t, %v", n, f.Torn(), err)
	}
	f.w = &out
	must(t, f.EndLine())
	_, err := f.Write([]byte("next\n"))
	must(t, errors.Join(err, f.Close()))
	if got := out.String(); got != "a long l\nnext\n" {
		t.Errorf("stream holds %q", got)
	}
}

type limited struct {
	io.Writer
	room int
}

func (l *limited) Write(b []byte) (int, error) {
	n, _ := l.Writer.Write(b[:min(len(b), l.room)])
	return n, syscall.EPIPE
}

// With Sync a write ends when the disk has the bytes.
func TestSync(t *testing.T) {
	t.Parallel()
	f, err := Open(Options{Path: filepath.Join(t.TempDir(), "log"), Sync: true, Logger: logrus.New()})
	must(t, err)
	_, err = f.Write([]byte("one\n"))
	must(t, err)
	if f.unsynced {
		t.Error("the disk may not have what Write has written")
	}
	must(t, f.Close())
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
		f, err := openFile(path, access{append: true})
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

// A link to a file of others, a pipe and a directory may have the names of rotated logs. They stay,
// and the log beside them is compressed.
func TestTidyBesideOthers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, secret := filepath.Join(dir, "log"), filepath.Join(t.TempDir(), "secret")
	name := func(day string) string { return path + "-202611" + day + "T075000.000000Z" }
	must(t, os.WriteFile(secret, []byte("secret"), 0o600))
	must(t, os.Symlink(secret, name("20")))
	must(t, syscall.Mkfifo(name("21"), 0o600))
	must(t, os.Mkdir(name("22"), 0o700))
	must(t, os.WriteFile(name("23"), []byte("one\n"), 0o600))
	r := &rotation{Rotation: Rotation{Compress: true}, names: namesOf(path)}
	if err := r.tidy(t.Context()); err == nil {
		t.Error("the names of others are not reported")
	}
	files, err := os.ReadDir(dir)
	must(t, err)
	var got []string
	for _, f := range files {
		got = append(got, strings.TrimPrefix(f.Name(), "log-202611"))
	}
	const rest = "T075000.000000Z"
	want := []string{"20" + rest, "21" + rest, "22" + rest, "23" + rest + ".gz"}
	if !slices.Equal(got, want) {
		t.Errorf("files are %q, want %q", got, want)
	}
}

// What a crash has left of compression the next run brings to its end.
func TestCompressAfterCrash(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	old := path + "-20261123T075000.000000Z"
	const text = `{"seq":7}` + "\n"
	must(t, os.WriteFile(old, []byte(text), 0o640))
	must(t, os.WriteFile(old+".gz.tmp", []byte("half"), 0o640))
	must(t, Compress(t.Context(), old))
	f, err := os.Open(old + ".gz")
	must(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	must(t, err)
	if b, err := io.ReadAll(z); err != nil || string(b) != text {
		t.Errorf("compressed file holds %q, %v", b, err)
	}
	if _, err := os.Stat(old); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("original: %v, want it gone", err)
	}
	must(t, os.WriteFile(old, []byte(text), 0o640))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Compress(ctx, old); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := os.Stat(old); err != nil {
		t.Error("original is gone though compression was cancelled")
	}
}
