package follow

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"syscall"

	"syntap/cmd/internal/logfile"
	"syntap/cmd/internal/record"
)

// Lines is a run of whole lines of a file, valid until the function that gets it returns.
type Lines struct {
	Text  []byte
	File  string
	First int // number of the first line
}

// Reader reads the records of a log.
type Reader struct {
	path string
	last uint64 // number of the last record that was handed on
	all  bool   // it begins in rotated files
	old  bool   // those are yet to be read

	file *os.File // the present one; nil = not there yet
	text lineBuffer

	catching bool // catchUp is at work

	// Written returns the number of the last record that is in the present file for good: the end
	// of a write that fails may be there for a moment. Records behind it are read later. nil = all
	// are.
	Written func() uint64

	// Damaged is called with the error of a rotated file that cannot be read to its end; nil has
	// Read return it.
	Damaged func(error)
}

// New returns a Reader that begins with the first record of the file that has the log's name now.
func New(path string) *Reader { return &Reader{path: path} }

// Behind returns a Reader that begins with the first record there is behind the one of that number,
// in rotated files too.
func Behind(path string, last uint64) *Reader {
	return &Reader{path: path, last: last, all: true, old: true}
}

// Close closes the file.
func (r *Reader) Close() {
	if r.file != nil {
		r.file.Close()
		r.file = nil
	}
}

// Read hands on the lines that have come since, to the present end of the log. After an error of f,
// which it returns, it is of no more use but to be closed.
func (r *Reader) Read(f func(Lines) error) error {
	for {
		rotated, err := r.rotated() // before reading: after it nothing more comes into the old file
		if err == nil {
			err = r.read(f)
		}
		if errors.Is(err, errLater) {
			return nil
		}
		if err != nil || !rotated {
			return err
		}
		if err := r.next(f); err != nil || r.file == nil {
			return err
		}
	}
}

// rotated reports whether the log's name is another file's than ours, or a file's that has been
// truncated.
func (r *Reader) rotated() (bool, error) {
	now, err := os.Stat(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		return r.old, nil // between two files
	}
	if err != nil || r.file == nil {
		return true, err
	}
	ours, err := r.file.Stat()
	if err != nil {
		return false, err
	}
	at, err := r.file.Seek(0, io.SeekCurrent)
	return !os.SameFile(now, ours) || now.Size() < at, err
}

// next opens the next file, after handing on those that were rotated away unseen.
func (r *Reader) next(f func(Lines) error) error {
	r.Close()
	file, err := os.Open(r.path)
	if errors.Is(err, fs.ErrNotExist) && r.old {
		return r.catchUp(f)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	r.file = file
	r.text.reset(r.path)
	return r.catchUp(f)
}

// catchUp hands on rotated files that are behind the last record. While files are renamed a list of
// them may lack one: then take notices and asks again.
func (r *Reader) catchUp(f func(Lines) error) error {
	if r.catching {
		return nil
	}
	r.catching = true
	defer func() { r.catching = false }()
	files, err := r.unseen()
	if err != nil {
		return err
	}
	for _, path := range files {
		if err := r.rotatedFile(path, f); err != nil {
			return err
		}
	}
	r.old = false
	return nil
}

func (r *Reader) rotatedFile(path string, f func(Lines) error) error {
	file, err := logfile.OpenRead(path)
	if errors.Is(err, fs.ErrNotExist) { // it was compressed since it was listed
		path += ".gz"
		file, err = logfile.OpenRead(path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it was removed
	}
	if err != nil && r.Damaged != nil && !isPassing(err) {
		r.Damaged(err)
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	var text lineBuffer
	text.reset(path)
	var taken error
	err = text.read(file, func(l Lines) error { taken = r.take(l, f); return taken })
	if err != nil && taken == nil && r.Damaged != nil {
		r.Damaged(err)
		err = nil
	}
	return err
}

// isPassing reports whether a file cannot be opened for want of descriptors: connections take and
// give back these all the time.
func isPassing(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// unseen returns the rotated files that have records behind the last one.
func (r *Reader) unseen() ([]string, error) {
	if r.last == 0 && !r.all { // no record has been seen, and earlier ones are not read
		return nil, nil
	}
	files, err := rotated(r.path)
	if err != nil {
		return nil, err
	}
	from := len(files)
	for ; from > 0; from-- {
		seq, err := record.FirstSeq(files[from-1])
		switch {
		case errors.Is(err, fs.ErrNotExist): // it was compressed or removed since it was listed
			return r.unseen()
		case err == nil && seq == 0:
			continue
		case err != nil && r.Damaged == nil:
			return nil, err
		case err != nil || seq > r.last:
			continue
		case r.old:
			from-- // it may have the last record in its middle
		}
		break
	}
	return files[from:], nil
}

// errLater ends a read in front of records that are not written for good.
var errLater = errors.New("not written for good")

// read hands on the rest of the present file.
func (r *Reader) read(f func(Lines) error) error {
	if r.file == nil {
		return nil
	}
	written := uint64(math.MaxUint64)
	if r.Written != nil {
		written = r.Written() // before reading: the bytes of these records do not change any more
	}
	err := r.text.read(r.file, func(l Lines) error {
		later := behind(l.Text, written)
		l.Text = l.Text[:len(l.Text)-later]
		if err := r.take(l, f); err != nil || later == 0 {
			return err
		}
		if err := r.text.back(r.file, later); err != nil {
			return err
		}
		return errLater
	})
	if err == nil && r.Written != nil && r.text.rest > 0 { // that may be taken back, too
		r.text.size = r.text.rest
		err = r.text.back(r.file, 0)
	}
	return err
}

// behind returns the size of the lines at the end of a text whose records are behind one.
func behind(text []byte, seq uint64) (size int) {
	for len(text) > size {
		begin := bytes.LastIndexByte(text[:len(text)-size-1], '\n') + 1
		if n, _ := record.SeqOf(text[begin : len(text)-size]); n <= seq {
			break
		}
		size = len(text) - begin
	}
	return size
}

// take hands on whole lines, but for the records that have been handed on before.
func (r *Reader) take(l Lines, f func(Lines) error) error {
	for len(l.Text) > 0 {
		n := bytes.IndexByte(l.Text, '\n') + 1
		seq, ok := record.SeqOf(l.Text[:n])
		if ok && (r.last != 0 || r.all) && seq > r.last+1 {
			if err := r.catchUp(f); err != nil {
				return err
			}
		}
		if !ok || seq > r.last {
			break
		}
		l.Text = l.Text[n:]
		l.First++
	}
	if len(l.Text) == 0 {
		return nil
	}
	last := bytes.LastIndexByte(l.Text[:len(l.Text)-1], '\n') + 1
	if seq, ok := record.SeqOf(l.Text[last:]); ok {
		r.last = seq
	}
	return f(l)
}

// lineBuffer cuts what it reads of a file into runs of whole lines.
type lineBuffer struct {
	file string
	line int // number of the next one
	b    []byte
	rest int // bytes at the beginning of b: of a line whose end is yet to come
	size int // bytes of b that are whole lines and the rest behind them, while read hands them on
}

// back has the last whole lines of a size that read has handed on be read again.
func (t *lineBuffer) back(file io.Seeker, size int) error {
	end := bytes.LastIndexByte(t.b[:t.size], '\n') + 1
	t.line -= bytes.Count(t.b[end-size:end], []byte("\n"))
	t.rest = 0
	_, err := file.Seek(-int64(size+t.size-end), io.SeekCurrent)
	return err
}

// runSize is the size of most runs of lines in bytes.
const runSize = 64 << 10

func (t *lineBuffer) reset(file string) { t.file, t.line, t.rest = file, 1, 0 }

// read hands on whole lines until the end of the file.
func (t *lineBuffer) read(file io.Reader, f func(Lines) error) error {
	for {
		switch free := len(t.b) - t.rest; {
		case t.rest >= record.MaxLine:
			return fmt.Errorf("read %s: line %d is longer than %d bytes", t.file, t.line, record.MaxLine)
		case free < runSize/2:
			t.b = append(t.b[:t.rest], make([]byte, max(runSize, t.rest))...)
		}
		n, err := file.Read(t.b[t.rest:])
		text := t.b[:t.rest+n]
		t.size = len(text)
		end := bytes.LastIndexByte(text, '\n') + 1
		if end > 0 {
			first := t.line
			t.line += bytes.Count(text[:end], []byte("\n"))
			if err := f(Lines{text[:end], t.file, first}); err != nil {
				return err
			}
		}
		t.rest = copy(t.b, text[end:])
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", t.file, logfile.Cause(err))
		}
	}
}
