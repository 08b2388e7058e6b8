package logfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/sirupsen/logrus"
)

// File is the place where a log's bytes go: a file, or a stream. It is for one goroutine at a time.
type File struct {
	o    Options
	w    io.Writer
	file *os.File    // nil = a stream: it is not cut, rotated, synced or closed
	same os.FileInfo // as it was opened, to know it again

	torn      bool // part of a batch is out and cannot be taken back
	displaced bool // when last looked for, the name was another's, or the directory was gone
	needsHead bool
	unsynced  bool      // the disk may not have all of it
	size      int64     // after our last write, in bytes
	birth     time.Time // when the file was made

	rotation *rotation // nil disables rotation
	rotated  bool      // since Rotated was last called
	retry    time.Time // after a failed rotation, the time of the next try
}

// Options say how a File is opened and written. Path is required.
type Options struct {
	Path     string
	Truncate bool   // begin the file anew instead of appending
	Shared   bool   // another File of this process has the lock and is about to be closed; Lock comes later
	Sync     bool   // a write returns when the disk has the bytes
	Head     []byte // the first bytes of each file, and of each section that is appended to one

	// Repair makes the end of a file that has been opened ready for the next write; nil leaves it
	// as it is.
	Repair func(*os.File) error

	Writer func(*os.File) io.Writer // for the bytes of a file; nil = the file itself
	Logger logrus.FieldLogger       // of the program, for changes that others make to the file
	Now    func() time.Time         // the clock of rotation; nil = time.Now
}

// quiet is how long after a failed rotation the next one is tried.
const quiet = time.Minute

// Open opens a file for appending, makes it where it is not there, and repairs its end. The head is
// written by Begin or with the first batch.
func Open(o Options) (*File, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	f := &File{o: o}
	if err := f.open(access{append: true, truncate: o.Truncate, shared: o.Shared}); err != nil {
		return nil, err
	}
	return f, nil
}

// NewStream returns a File that writes to w, head first.
func NewStream(w io.Writer, head []byte) *File {
	return &File{o: Options{Head: head, Now: time.Now}, w: w, needsHead: true}
}

func (f *File) open(a access) error {
	file, err := openFile(f.o.Path, a)
	if err != nil {
		return err
	}
	if err := f.use(file); err != nil {
		file.Close()
		return cannotOpen(f.o.Path, err)
	}
	return nil
}

// use makes file the one to write to, after repairing its end.
func (f *File) use(file *os.File) error {
	if f.o.Repair != nil {
		if err := f.o.Repair(file); err != nil {
			return err
		}
	}
	info, err := file.Stat()
	if err != nil {
		return err
	}
	f.w, f.file, f.same = file, file, info
	f.torn, f.displaced, f.unsynced = false, false, false
	if f.o.Writer != nil {
		f.w = f.o.Writer(file)
	}
	f.o.Sync = f.o.Sync && info.Mode().IsRegular()
	f.size, f.birth, f.needsHead = info.Size(), birth(file, info), true
	return nil
}

// Size returns the size of the file in bytes, as far as it is known.
func (f *File) Size() int64 { return f.size }

// Torn reports whether part of a batch is out that could not be taken back.
func (f *File) Torn() bool { return f.torn }

// Descriptor returns the open file; nil for a stream. It changes with rotation.
func (f *File) Descriptor() *os.File { return f.file }

// Write writes one batch. After an error n bytes of it are out for good; those that can be taken
// back are cut off.
func (f *File) Write(batch []byte) (n int, err error) {
	if f.file != nil {
		if err := f.prepare(int64(len(batch))); err != nil {
			return 0, err
		}
	}
	if err := f.Begin(); err != nil {
		return 0, err
	}
	if n, err = f.append(batch); err != nil {
		return n, err
	}
	// After a failed sync the kernel may take pages that it could not write for clean: another
	// sync says nothing about it, so it is written again.
	if err = f.settle(); err != nil && f.cut(int64(n)) {
		f.size -= int64(n)
		n = 0
	}
	return n, err
}

// Begin writes the head, unless the file has it.
func (f *File) Begin() error {
	if !f.needsHead {
		return nil
	}
	_, err := f.append(f.o.Head)
	f.needsHead = err != nil
	return err
}

func (f *File) append(b []byte) (n int, err error) {
	if len(b) == 0 {
		return 0, nil
	}
	n, err = f.w.Write(b)
	if err != nil && n > 0 && f.cut(int64(n)) {
		n = 0
	}
	if n > 0 {
		f.torn = err != nil
		f.unsynced = f.o.Sync
	}
	f.size += int64(n)
	return n, err
}

// settle waits until the disk has all that is written, with Options.Sync.
func (f *File) settle() error {
	if !f.unsynced {
		return nil
	}
	err := f.file.Sync()
	f.unsynced = err != nil
	return err
}

// cut takes back the last n bytes.
func (f *File) cut(n int64) bool {
	if f.file == nil {
		return false
	}
	info, err := f.file.Stat()
	return err == nil && info.Mode().IsRegular() && f.file.Truncate(info.Size()-n) == nil
}

// EndLine ends a line of which only a part is out.
func (f *File) EndLine() error {
	if !f.torn {
		return nil
	}
	_, err := f.w.Write([]byte("\n"))
	f.torn = err != nil
	return err
}

// prepare finds changes that others have made to the file, and rotates it when n more bytes are too
// many or it is too old.
func (f *File) prepare(n int64) error {
	if !f.same.Mode().IsRegular() {
		return nil
	}
	info, err := os.Lstat(f.o.Path)
	if err != nil || !os.SameFile(info, f.same) {
		if info, err = f.find(info, err); err != nil {
			return err
		}
	}
	if size := info.Size(); size < f.size {
		f.o.Logger.WithFields(logrus.Fields{"path": f.o.Path, "before": f.size, "now": size}).
			Warn("log was truncated: records written while it was copied are lost; " +
				"have logrotate rename it and send SIGHUP, without copytruncate")
		f.needsHead = size == 0
		f.size = size
	}
	if f.rotation == nil || f.torn || f.size <= int64(len(f.o.Head)) ||
		!f.rotation.due(f.size+n, f.o.Now().Sub(f.birth)) || f.o.Now().Before(f.retry) {
		return nil
	}
	if err := f.Rotate(); err != nil { // the log continues in the same file
		f.retry = f.o.Now().Add(quiet)
		f.o.Logger.WithError(err).Error("log cannot be rotated")
	}
	return nil
}

// find returns what the file is to be written to is now. Another, or none, has the log's name. A
// file that others have renamed is written to until Reopen, as logrotate expects. If a link, a
// directory or a pipe has taken the name, or the directory is gone, no reader would look for the
// log in the open file: it cannot be written until that is over.
func (f *File) find(named os.FileInfo, missing error) (os.FileInfo, error) {
	ours, err := f.file.Stat()
	if err != nil {
		return nil, err
	}
	gone := deleted(ours)
	switch {
	case gone:
		f.o.Logger.WithField("path", f.o.Path).Warn("log was deleted, it is made anew")
	case missing == nil && !named.Mode().IsRegular():
		f.displaced = true
		return nil, cannotOpen(f.o.Path, mustBeRegular(named))
	case missing != nil && !f.displaced:
		_, err := os.Stat(filepath.Dir(f.o.Path))
		f.displaced = err != nil
	}
	if gone || f.displaced {
		if err := f.Reopen(); err != nil {
			return nil, err
		}
	}
	return f.file.Stat()
}

// Rotate renames the file for good and makes the next one.
func (f *File) Rotate() error {
	if same, err := f.named(); !same || err != nil {
		return errors.Join(err, f.Reopen()) // another program has renamed it
	}
	names := namesOf(f.o.Path)
	name, err := names.next(f.o.Now())
	if err != nil {
		return err
	}
	if err := os.Rename(f.o.Path, name); err != nil {
		return fmt.Errorf("rotate log: %w", err)
	}
	if err := f.Reopen(); err != nil {
		if _, missing := os.Lstat(f.o.Path); missing != nil { // else another program has made one meanwhile
			err = errors.Join(err, os.Rename(name, f.o.Path))
		}
		return err
	}
	f.rotated = true
	f.Tidy()
	return nil
}

// Rotated reports whether the file has been rotated since the last call.
func (f *File) Rotated() bool {
	rotated := f.rotated
	f.rotated = false
	return rotated
}

// Reopen continues in the file that now has the log's name, for programs that rename it, and makes
// it where it is not there. The head is written by Begin or with the next batch.
func (f *File) Reopen() error {
	if f.file == nil {
		return nil
	}
	before := f.file
	if same, err := f.named(); same || err != nil {
		return err
	}
	if err := f.open(access{append: true}); err != nil {
		return err
	}
	if f.o.Sync {
		if err := before.Sync(); err != nil {
			f.o.Logger.WithError(err).Error("rotated log may not be on the disk")
		}
	}
	unlock(before)
	if err := before.Close(); err != nil {
		return fmt.Errorf("close log %s: %w", f.o.Path, Cause(err))
	}
	return nil
}

// named reports whether the file still has the log's name.
func (f *File) named() (bool, error) {
	info, err := f.file.Stat()
	if err != nil {
		return false, err
	}
	now, err := os.Lstat(f.o.Path)
	return err == nil && os.SameFile(now, info), nil
}

// Close ends the background work and closes the file. A stream is left open.
func (f *File) Close() error {
	if f.rotation != nil {
		f.rotation.close()
	}
	if f.file == nil {
		return nil
	}
	unlock(f.file)
	return f.file.Close()
}

// Lock locks a file that was opened with Options.Shared.
func (f *File) Lock() error {
	if f.file == nil {
		return nil
	}
	if err := lock(f.file); err != nil {
		return fmt.Errorf("lock log %s: %w", f.o.Path, err)
	}
	return nil
}
