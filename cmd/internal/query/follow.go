package query

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"

	"syntap/cmd/internal/logfile"
	"syntap/cmd/internal/record"
)

// pollInterval is how often a log that is followed is looked at.
const pollInterval = 100 * time.Millisecond

// follower prints new records of a log.
type follower struct {
	search *search
	worker *worker
	path   string

	file *os.File // nil: not there yet
	rest []byte   // the beginning of a line
	line int      // its number
	last uint64   // the number of the last record
	old  int      // records printed in modern notation, as they have no segments

	catching bool // catchUp is at work
}

// Follow searches files as Run does, and then new records of the last one, over rotation, until
// ctx ends. A connection that goes on is printed when it begins, too.
func Follow(ctx context.Context, q Query, files []string, w io.Writer) error {
	out := bufio.NewWriterSize(w, 1<<16)
	s, last := newSearch(&q, files, out), len(files)-1
	s.run(files[:last])
	if err := s.err(); err != nil {
		return errors.Join(err, out.Flush())
	}
	f := follower{search: s, worker: newWorker(&q), path: files[last]}
	defer func() {
		if f.file != nil {
			f.file.Close()
		}
	}()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for began := false; ; began = true {
		err := f.poll()
		if err == nil && !began {
			err = s.follow()
		}
		if flushErr := out.Flush(); err == nil {
			err = flushErr
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return tooOld(f.path, f.old)
		case <-tick.C:
		}
	}
}

// poll prints the new records.
func (f *follower) poll() error {
	for {
		rotated, err := f.rotated() // before reading: after it nothing more comes into the old file
		if err == nil {
			err = f.read()
		}
		if err != nil || !rotated {
			return err
		}
		if err := f.next(); err != nil || f.file == nil {
			return err
		}
	}
}

// rotated reports whether the log's name is another file's than ours, or a file's that has been
// truncated.
func (f *follower) rotated() (bool, error) {
	now, err := os.Stat(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // between two files
	}
	if err != nil || f.file == nil {
		return true, err
	}
	ours, err := f.file.Stat()
	if err != nil {
		return false, err
	}
	at, err := f.file.Seek(0, io.SeekCurrent)
	return !os.SameFile(now, ours) || now.Size() < at, err
}

// next opens the next file, after printing those that were rotated away unseen.
func (f *follower) next() error {
	if f.file != nil {
		f.file.Close()
		f.file, f.rest = nil, nil
	}
	file, err := os.Open(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	f.file, f.line = file, 1
	return f.catchUp()
}

// catchUp prints rotated files that are behind the last record. While files are renamed a list of
// them may lack one: then print notices and asks again.
func (f *follower) catchUp() error {
	if f.catching {
		return nil
	}
	f.catching = true
	defer func() { f.catching = false }()
	files, err := f.unseen()
	if err != nil {
		return err
	}
	var printErr error
	err = readAll(files, nil, func(run lineRun) bool {
		printErr = f.print(run)
		return printErr == nil
	})
	return errors.Join(err, printErr)
}

// unseen returns the rotated files that begin behind the last record.
func (f *follower) unseen() ([]string, error) {
	if f.last == 0 { // no record has been seen, and earlier ones are not printed
		return nil, nil
	}
	files, err := logfile.Files(f.path)
	if err != nil {
		return nil, err
	}
	files = files[:len(files)-1]
	from := len(files)
	for ; from > 0; from-- {
		seq, err := record.FirstSeq(files[from-1])
		if err != nil {
			return nil, err
		}
		if seq <= f.last {
			break
		}
	}
	return files[from:], nil
}

// read prints the rest of the present file.
func (f *follower) read() error {
	if f.file == nil {
		return nil
	}
	b := make([]byte, 64<<10)
	for {
		n, err := f.file.Read(b)
		f.rest = append(f.rest, b[:n]...)
		if end := bytes.LastIndexByte(f.rest, '\n') + 1; end > 0 {
			if err := f.print(lineRun{f.rest[:end], f.path, f.line}); err != nil {
				return err
			}
			f.line += bytes.Count(f.rest[:end], []byte("\n"))
			f.rest = append(f.rest[:0], f.rest[end:]...)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// print prints the records that match of whole lines, unless they have been printed.
func (f *follower) print(run lineRun) error {
	lines := run.lines
	for len(lines) > 0 {
		n := bytes.IndexByte(lines, '\n') + 1
		seq, ok := seqOf(lines[:n])
		if ok && f.last != 0 && seq > f.last+1 {
			if err := f.catchUp(); err != nil {
				return err
			}
		}
		if !ok || seq > f.last {
			break
		}
		lines = lines[n:]
		run.first++
	}
	if len(lines) == 0 {
		return nil
	}
	last := bytes.LastIndexByte(lines[:len(lines)-1], '\n') + 1
	if seq, ok := seqOf(lines[last:]); ok {
		f.last = seq
	}
	run.lines = lines
	r := f.worker.search(run)
	f.old += r.old
	if r.bad.n > 0 {
		return notRecord(run.file, r.bad.lines[0])
	}
	r.gaps.tell(f.search.query.Notice)
	return f.search.output.take(run.file, &r)
}

// seqOf returns the number of a record.
func seqOf(line []byte) (uint64, bool) {
	var l record.Line
	l.Seek(line, record.Seq)
	return l.Seq()
}
