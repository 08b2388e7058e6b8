package query

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"syntap/cmd/internal/logfile"
	"syntap/cmd/internal/record"
)

// lineRun is a run of whole lines of a file.
type lineRun struct {
	lines []byte
	file  string  // of the lines; several logs of a [Source] count as one
	log   logName // that the lines are of; zero = of several
	first int     // number of the first line
}

// readAll hands the files' lines on in blocks of whole ones, until next says that it is enough.
func readAll(files []string, blocks memory, next func(lineRun) bool) error {
	var errs []error
	for _, file := range files {
		r, err := logfile.OpenRead(file)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		more, err := readBlocks(file, r, blocks, next)
		if err != nil {
			errs = append(errs, fmt.Errorf("read %s: %w", nameOf(file), logfile.Cause(err)))
		}
		if err := r.Close(); err != nil {
			errs = append(errs, err)
		}
		if !more {
			break
		}
	}
	return errors.Join(errs...)
}

// readBlocks passes over a last line that is the beginning of a record: it is being written, or a
// crash has left it.
func readBlocks(file string, r io.Reader, blocks memory, next func(lineRun) bool) (more bool, err error) {
	in := bufio.NewReader(r)
	if spread(in) {
		in = bufio.NewReader(newUnspread(in))
	}
	var rest []byte
	line, log := 1, logOf(file)
	hand := func(lines []byte) bool {
		run := lineRun{lines: lines, file: file, log: log, first: line}
		line += bytes.Count(lines, []byte("\n"))
		return next(run)
	}
	for {
		b := blocks.take() // perhaps the one that rest is in: it has not changed
		n := copy(b, rest)
		read, err := io.ReadFull(in, b[n:])
		b = b[:n+read]
		end := bytes.LastIndexByte(b, '\n') + 1
		if end == 0 && err == nil { // longer than any record: its beginning stands for it, and is none
			err = skipLine(in)
			b, end = append(b[:1], '\n'), 2
		}
		rest = b[end:]
		atEnd := err == io.EOF || err == io.ErrUnexpectedEOF && read > 0 // of ReadFull
		if atEnd && len(rest) > 0 && len(b) < cap(b) && !begins(rest) {
			b, end = append(b, '\n'), len(b)+1
		}
		if end > 0 && !hand(b[:end]) {
			return false, nil
		}
		if err != nil {
			if atEnd {
				err = nil
			}
			return true, err
		}
	}
}

// skipLine passes over the rest of a line.
func skipLine(r *bufio.Reader) (err error) {
	for err = bufio.ErrBufferFull; err == bufio.ErrBufferFull; {
		_, err = r.ReadSlice('\n')
	}
	return err
}

// begins reports whether a line without an end is the beginning of a record, and not a whole one.
func begins(line []byte) bool {
	n := min(len(line), len(record.Begin))
	return string(line[:n]) == record.Begin[:n] && new(record.Line).Scan(line) == record.None
}

// spread reports whether the file has JSON that goes over several lines: its first line is no more
// than an opening brace.
func spread(r *bufio.Reader) bool {
	b, _ := r.Peek(64)
	line, _, whole := bytes.Cut(bytes.TrimLeft(b, " \t\r\n"), []byte("\n"))
	return whole && string(bytes.TrimSpace(line)) == "{"
}

// unspread has each JSON value of a file in one line, with as many empty ones behind it as it had
// more: lines keep their numbers. The rest behind a mistake stays as it is.
type unspread struct {
	in      *json.Decoder
	lines   counter
	ready   bytes.Buffer
	written int // lines
	broken  io.Reader
}

func newUnspread(r io.Reader) *unspread {
	u := new(unspread)
	u.lines.r = r
	u.in = json.NewDecoder(&u.lines)
	return u
}

func (u *unspread) Read(b []byte) (int, error) {
	for u.ready.Len() == 0 && u.broken == nil {
		var value json.RawMessage
		if err := u.in.Decode(&value); err == io.EOF {
			return 0, io.EOF
		} else if err != nil {
			u.broken = io.MultiReader(u.in.Buffered(), u.lines.r)
			break
		}
		_ = json.Compact(&u.ready, value) // it is valid
		u.ready.WriteByte('\n')
		rest, err := io.ReadAll(u.in.Buffered())
		if err != nil {
			return 0, err
		}
		u.written++
		for ; u.written < u.lines.n-bytes.Count(rest, []byte("\n")); u.written++ {
			u.ready.WriteByte('\n')
		}
	}
	if u.ready.Len() == 0 {
		return u.broken.Read(b)
	}
	return u.ready.Read(b)
}

// counter counts the ends of lines that are read.
type counter struct {
	r io.Reader
	n int
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += bytes.Count(b[:n], []byte("\n"))
	return n, err
}
