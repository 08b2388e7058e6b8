package follow

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"syntap/cmd/internal/logfile"
)

// write adds records to a file.
func write(t *testing.T, path string, first, last int) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	for seq := first; seq <= last; seq++ {
		_, writeErr := fmt.Fprintf(f, `{"time":"x","msg":"y","seq":%d,"pad":"%s"}`+"\n", seq, strings.Repeat("z", seq%300))
		err = errors.Join(err, writeErr)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// rotate renames a log's file as rotation does; n orders the names.
func rotate(t *testing.T, path string, n int, compress bool) string {
	t.Helper()
	to := strings.TrimSuffix(path, ".json") + fmt.Sprintf("-20261126T0750%02d.000000Z.json", n)
	if err := os.Rename(path, to); err != nil {
		t.Fatal(err)
	}
	if compress {
		if err := logfile.Compress(context.Background(), to); err != nil {
			t.Fatal(err)
		}
		to += ".gz"
	}
	return to
}

// collector gathers the numbers of records.
type collector struct {
	t   *testing.T
	all []string
}

func (c *collector) take(l Lines) error {
	if !bytes.HasSuffix(l.Text, []byte("\n")) {
		c.t.Errorf("%s: no whole lines: %.100q", l.File, l.Text)
	}
	for line := range strings.Lines(string(l.Text)) {
		_, rest, _ := strings.Cut(line, `"seq":`)
		seq, _, _ := strings.Cut(rest, ",")
		c.all = append(c.all, seq)
	}
	return nil
}

func numbers(first, last int) (all []string) {
	for seq := first; seq <= last; seq++ {
		all = append(all, fmt.Sprint(seq))
	}
	return all
}

func (c *collector) want(all []string) {
	c.t.Helper()
	if !slices.Equal(c.all, all) {
		c.t.Errorf("%d records %.300v, want %d", len(c.all), c.all, len(all))
	}
}

// A log is read behind any of its records, over files in all their forms, and then on.
func TestReader(t *testing.T) {
	t.Parallel()
	for _, last := range []int{0, 1, 999, 1000, 1001, 1999, 2000, 2500, 2999, 3000, 3001, 3500, 4000} {
		path := filepath.Join(t.TempDir(), "log.json")
		write(t, path, 1, 1000)
		rotate(t, path, 1, true)
		write(t, path, 1001, 2000)
		rotate(t, path, 2, false)
		write(t, path, 2001, 3000)
		rotate(t, path, 3, true)
		write(t, path, 3001, 4000)
		r, c := Behind(path, uint64(last)), &collector{t: t}
		read := func() {
			t.Helper()
			if err := r.Read(c.take); err != nil {
				t.Fatal(err)
			}
		}
		read()
		c.want(numbers(last+1, 4000))
		write(t, path, 4001, 4100)
		rotate(t, path, 4, true)
		write(t, path, 4101, 4110)
		rotate(t, path, 5, false)
		read() // there is no present file
		write(t, path, 4111, 4120)
		read()
		c.want(numbers(last+1, 4120))
		r.Close()
	}
}

// A Reader that begins with the present file does not look back, but misses nothing later.
func TestNew(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log.json")
	write(t, path, 1, 10)
	rotate(t, path, 1, false)
	write(t, path, 11, 20)
	r, c := New(path), &collector{t: t}
	defer r.Close()
	for i := range 3 {
		if err := r.Read(c.take); err != nil {
			t.Fatal(err)
		}
		c.want(numbers(11, 20+20*i))
		write(t, path, 21+20*i, 30+20*i)
		rotate(t, path, 2+2*i, i == 0)
		write(t, path, 31+20*i, 35+20*i)
		rotate(t, path, 3+2*i, i == 1)
		write(t, path, 36+20*i, 40+20*i)
	}
}

// Files that others have renamed are read too, and only logs.
func TestOthersRotate(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log.json")
	for i := range 4 {
		write(t, path, 1+10*i, 10+10*i)
		switch i {
		case 0:
			rotate(t, path, 1, true)
		case 1, 2:
			if err := os.Rename(path, path+fmt.Sprint(".", 9-i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, other := range []string{".note", ".head", ".fleet", "-1"} {
		if err := os.WriteFile(path+other, []byte("{}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, last := range []int{0, 5, 10, 15, 25, 40} {
		r, c := Behind(path, uint64(last)), &collector{t: t}
		if err := r.Read(c.take); err != nil {
			t.Fatal(err)
		}
		c.want(numbers(last+1, 40))
		r.Close()
	}
	if first, last, err := Ends(path); first != 1 || last != 40 || err != nil {
		t.Errorf("ends %d, %d, %v, want 1, 40", first, last, err)
	}
}

// Records that are gone are a gap, and a file that is damaged is told and passed over.
func TestGone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log.json")
	write(t, path, 1, 10)
	first := rotate(t, path, 1, false)
	write(t, path, 11, 20)
	damaged := rotate(t, path, 2, true)
	write(t, path, 21, 30)
	if err := os.Remove(first); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(damaged)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(damaged, text[:len(text)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	r, c := Behind(path, 5), &collector{t: t}
	defer r.Close()
	if err := r.Read(c.take); err == nil {
		t.Error("the damage is not told")
	}
	r, c = Behind(path, 5), &collector{t: t}
	defer r.Close()
	var damage []error
	r.Damaged = func(err error) { damage = append(damage, err) }
	if err := r.Read(c.take); err != nil {
		t.Fatal(err)
	}
	if i := slices.Index(c.all, "21"); len(damage) == 0 || i < 0 || !slices.Equal(c.all[i:], numbers(21, 30)) {
		t.Errorf("records %v, damage %v", c.all, damage)
	}
}

// A line that is being written is handed on when it is whole.
func TestHalfLine(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log.json")
	write(t, path, 1, 3)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r, c := Behind(path, 0), &collector{t: t}
	defer r.Close()
	for n := range text {
		if err := os.WriteFile(path, text[:n+1], 0o600); err != nil { // the same file
			t.Fatal(err)
		}
		if err := r.Read(c.take); err != nil {
			t.Fatal(err)
		}
		c.want(numbers(1, bytes.Count(text[:n+1], []byte("\n"))))
	}
}

// Records behind those that are written for good are read later, as they are then.
func TestWritten(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log.json")
	r, c := Behind(path, 0), &collector{t: t}
	defer r.Close()
	var written uint64
	r.Written = func() uint64 { return written }
	read := func(want []string) {
		t.Helper()
		if err := r.Read(c.take); err != nil {
			t.Fatal(err)
		}
		c.want(want)
	}
	write(t, path, 1, 10)
	read(nil)
	written = 3
	read(numbers(1, 3))
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, 11, 500) // more than a run of lines
	written = 10
	read(numbers(1, 10))
	if err := os.Truncate(path, info.Size()); err != nil {
		t.Fatal(err)
	}
	half, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	_, err = half.WriteString(`{"time":"x","msg":"another"`)
	if err := errors.Join(err, half.Close()); err != nil {
		t.Fatal(err)
	}
	read(numbers(1, 10))
	if err := os.Truncate(path, info.Size()); err != nil {
		t.Fatal(err)
	}
	write(t, path, 11, 20)
	read(numbers(1, 10))
	rotate(t, path, 1, true)
	write(t, path, 21, 30)
	written = 25
	read(numbers(1, 25))
	written = 30
	read(numbers(1, 30))
}

func TestBetween(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log.json")
	if first, last, err := Ends(path); first != 0 || last != 0 || err != nil {
		t.Errorf("ends of no log %d, %d, %v", first, last, err)
	}
	write(t, path, 101, 200)
	rotate(t, path, 1, true)
	write(t, path, 201, 300)
	rotate(t, path, 2, false)
	write(t, path, 301, 400)
	for _, tt := range []struct{ first, last, wantFirst, wantLast int }{
		{1, 1, 0, -1},
		{50, 101, 101, 101},
		{101, 400, 101, 400},
		{150, 250, 150, 250},
		{200, 201, 200, 201},
		{300, 301, 300, 301},
		{399, 1000, 399, 400},
		{401, 500, 0, -1},
		{5, 4, 0, -1},
	} {
		var got []string
		err := Between(path, uint64(tt.first), uint64(tt.last), func(seq uint64, line []byte) error {
			got = append(got, fmt.Sprint(seq))
			if !bytes.HasPrefix(line, []byte("{")) || !bytes.HasSuffix(line, []byte("}")) {
				t.Errorf("line %q", line)
			}
			return nil
		})
		if want := numbers(tt.wantFirst, tt.wantLast); err != nil || !slices.Equal(got, want) {
			t.Errorf("from %d to %d: %v, %v", tt.first, tt.last, got, err)
		}
	}
	if first, last, err := Ends(path); first != 101 || last != 400 || err != nil {
		t.Errorf("ends %d, %d, %v, want 101, 400", first, last, err)
	}
	rotate(t, path, 3, true)
	if first, last, err := Ends(path); first != 101 || last != 400 || err != nil {
		t.Errorf("ends without a present file %d, %d, %v, want 101, 400", first, last, err)
	}
	broken := errors.New("enough")
	if err := Between(path, 1, 400, func(uint64, []byte) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("error %v, want that of f", err)
	}
}

// Rotated files are compressed and the log is rotated while it is read from its beginning: no
// record is left out, and its ends are told.
func TestRotatedMeanwhile(t *testing.T) {
	t.Parallel()
	for range 4 {
		path := filepath.Join(t.TempDir(), "log.json")
		const files, each = 30, 10
		last := each
		write(t, path, 1, each)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for n := range files {
				old := rotate(t, path, n, false)
				write(t, path, (n+1)*each+1, (n+2)*each)
				if err := logfile.Compress(context.Background(), old); err != nil {
					t.Error(err)
				}
			}
		}()
		for ended := false; !ended; {
			select {
			case <-done:
				ended, last = true, (files+1)*each
			default:
			}
			first, end, err := Ends(path)
			if first != 1 || int(end) < last || err != nil {
				t.Errorf("ends %d, %d, %v", first, end, err)
			}
			next := uint64(1)
			err = Between(path, 1, end, func(seq uint64, _ []byte) error {
				if seq != next {
					return fmt.Errorf("seq %d behind seq %d", seq, next-1)
				}
				next++
				return nil
			})
			if err != nil || next != end+1 {
				t.Fatalf("%v, next %d of %d", err, next, end)
			}
			last = int(end)
		}
	}
}
