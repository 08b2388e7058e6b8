package audit

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/sirupsen/logrus"
)

// output is where the bytes of a sink go: a file that is rotated, or a stream.
type output struct {
	w    io.Writer
	file *os.File // nil: w is not ours to cut, to rotate or to close
	torn bool     // part of a batch is out and cannot be taken back
	lost bool     // the log's name was that of something else, or its directory gone, when it was looked for

	// The rest is for files.
	sync      bool // a batch is written when the disk has it
	unsettled bool // the disk may not have all of it
	path      string
	resume    func(*os.File) error // makes a file ready for the next record
	head      []byte               // what a file begins with
	headless  bool                 // the head has not been written yet
	size      int64                // of the file after our last write
	born      time.Time            // when the file was made
	rotation  *rotation            // nil: the file is never rotated
	rotated   bool                 // it has been, and not everything about that is done
	retry     time.Time            // no other rotation before, one has failed
	now       func() time.Time
	logger    logrus.FieldLogger // of the program
}

// open opens the file for appending, or begins it anew.
func (o *output) open(a access) error {
	a.append = true
	f, err := openFile(o.path, a)
	if err != nil {
		return err
	}
	if err := o.use(f); err != nil {
		f.Close()
		return cannotOpen(o.path, err)
	}
	return nil
}

// use makes f the file to write to, after mending its end.
func (o *output) use(f *os.File) error {
	if err := o.resume(f); err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	o.w, o.file, o.torn, o.lost, o.unsettled = f, f, false, false, false
	o.sync = o.sync && info.Mode().IsRegular()
	o.size, o.born, o.headless = info.Size(), born(f, info), true
	return nil
}

// write writes one batch. After an error n bytes of it are out for good: what can be taken back of
// them is cut off.
func (o *output) write(batch []byte) (n int, err error) {
	if o.file != nil {
		if err := o.prepare(int64(len(batch))); err != nil {
			return 0, err
		}
	}
	if err := o.begin(); err != nil {
		return 0, err
	}
	if n, err = o.append(batch); err != nil {
		return n, err
	}
	// After a sync that has failed the kernel may take what it could not write for clean: another
	// sync says nothing about it, so it is written again.
	if err = o.settle(); err != nil && o.cut(int64(n)) {
		o.size -= int64(n)
		n = 0
	}
	return n, err
}

// begin writes what a file begins with, or a further section of one.
func (o *output) begin() error {
	if !o.headless {
		return nil
	}
	_, err := o.append(o.head)
	o.headless = err != nil
	return err
}

func (o *output) append(b []byte) (n int, err error) {
	if len(b) == 0 {
		return 0, nil
	}
	n, err = o.w.Write(b)
	if err != nil && n > 0 && o.cut(int64(n)) {
		n = 0
	}
	if n > 0 {
		o.torn = err != nil
		o.unsettled = o.sync
	}
	o.size += int64(n)
	return n, err
}

// settle waits until the disk has what is written, where that is wanted.
func (o *output) settle() error {
	if !o.unsettled {
		return nil
	}
	err := o.file.Sync()
	o.unsettled = err != nil
	return err
}

// cut takes back the last n bytes.
func (o *output) cut(n int64) bool {
	if o.file == nil {
		return false
	}
	info, err := o.file.Stat()
	return err == nil && info.Mode().IsRegular() && o.file.Truncate(info.Size()-n) == nil
}

// mend ends a line of which only a part is out.
func (o *output) mend() error {
	if !o.torn {
		return nil
	}
	_, err := o.w.Write([]byte("\n"))
	o.torn = err != nil
	return err
}

// prepare looks at what others have done to the file, and rotates it when n more bytes are too many
// or it is too old.
func (o *output) prepare(n int64) error {
	info, err := o.file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	if err := o.find(info); err != nil {
		return err
	}
	if info, err = o.file.Stat(); err != nil {
		return err
	}
	if size := info.Size(); size < o.size {
		o.logger.WithFields(logrus.Fields{"path": o.path, "before": o.size, "now": size}).
			Warn("handshake log was truncated: records written while it was copied are lost; have logrotate rename it and send SIGHUP, without copytruncate")
		o.headless = size == 0
		o.size = size
	}
	if o.rotation == nil || o.torn || o.size <= int64(len(o.head)) || !o.rotation.due(o.size+n, o.now().Sub(o.born)) || o.now().Before(o.retry) {
		return nil
	}
	if err := o.rotate(); err != nil { // the records go on in the same file
		o.retry = o.now().Add(quiet)
		o.logger.WithError(err).Error("handshake log cannot be rotated")
	}
	return nil
}

// find sees to it that the log is where its name says. A file that others have renamed is written
// to until Reopen, as logrotate wants it; but where something else has the name that is no file, or
// the directory is gone, nobody would look for the records there, and the log cannot be written
// until that is over.
func (o *output) find(ours os.FileInfo) error {
	now, err := os.Lstat(o.path)
	switch {
	case err == nil && os.SameFile(now, ours):
		return nil
	case deleted(ours):
		o.logger.WithField("path", o.path).Warn("handshake log was deleted, it is made anew")
		return o.reopen()
	case err == nil && !now.Mode().IsRegular():
		o.lost = true
		return cannotOpen(o.path, mustBeRegular(now))
	case err != nil && !o.lost:
		_, err = os.Stat(filepath.Dir(o.path))
		o.lost = err != nil
	}
	if o.lost {
		return o.reopen()
	}
	return nil
}

// rotate gives the file its name for good and makes the next one.
func (o *output) rotate() error {
	if same, err := o.named(); !same || err != nil {
		return errors.Join(err, o.reopen()) // somebody else has renamed it
	}
	r := o.rotation
	if r == nil {
		r = rotationOf(o.path)
	}
	name, err := r.next(o.now())
	if err != nil {
		return err
	}
	if err := os.Rename(o.path, name); err != nil {
		return fmt.Errorf("rotate log: %w", err)
	}
	if err := o.reopen(); err != nil {
		if _, missing := os.Lstat(o.path); missing != nil { // else somebody else was quicker
			err = errors.Join(err, os.Rename(name, o.path))
		}
		return err
	}
	o.rotated = true
	r.tidySoon()
	return nil
}

// reopen goes on in the file that now has the log's name; there may be none yet.
func (o *output) reopen() error {
	if o.file == nil {
		return nil
	}
	before := o.file
	if same, err := o.named(); same || err != nil {
		return err
	}
	if err := o.open(access{}); err != nil {
		return err
	}
	if o.sync {
		if err := before.Sync(); err != nil {
			o.logger.WithError(err).Error("rotated handshake log may not be on the disk")
		}
	}
	unlock(before)
	if err := before.Close(); err != nil {
		return fmt.Errorf("close log %s: %w", o.path, cause(err))
	}
	return nil
}

// named reports whether the file still has the log's name.
func (o *output) named() (bool, error) {
	info, err := o.file.Stat()
	if err != nil {
		return false, err
	}
	now, err := os.Lstat(o.path)
	return err == nil && os.SameFile(now, info), nil
}

func (o *output) close() error {
	if o.file == nil {
		return nil
	}
	if o.rotation != nil {
		o.rotation.close()
	}
	unlock(o.file)
	return o.file.Close()
}

// lock is for a file that was opened while its former writer had it.
func (o *output) lock() error {
	if o.file == nil {
		return nil
	}
	if err := lock(o.file); err != nil {
		return fmt.Errorf("lock log %s: %w", o.path, err)
	}
	return nil
}
