package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"syntap/cmd/internal/record"
	"syntap/tap/capture"
)

// maxRecord is the longest JSON record that resuming looks for, in bytes.
const maxRecord = 16 << 20

// resumeJSON makes f ready for the next record and returns its last one, nil for none. A crash may
// have left a broken last line: a record that lacks only its end of line gets it, the beginning of
// one is cut off.
func resumeJSON(f *os.File) (last []byte, err error) {
	last, broken, size, err := tail(f)
	if err != nil || size == 0 {
		return nil, err
	}
	if len(broken) > 0 {
		if _, ok := recordSeq(broken); ok {
			_, err = f.Write([]byte("\n"))
			return broken, err
		}
		if !bytes.HasPrefix([]byte(`{"time":"`), broken[:min(9, len(broken))]) {
			return nil, errors.New("it does not end in a record")
		}
		if err := f.Truncate(size - int64(len(broken))); err != nil || last == nil {
			return nil, err
		}
	}
	if _, ok := recordSeq(last); !ok {
		return nil, errors.New("its last line is not a record")
	}
	return last, nil
}

// recordSeq returns the number of a record.
func recordSeq(line []byte) (uint64, bool) {
	if !json.Valid(line) {
		return 0, false
	}
	return seqOf(line)
}

// seqOf is recordSeq for a line that may be cut short behind its number.
func seqOf(line []byte) (uint64, bool) {
	var l record.Line
	l.Seek(line, record.Seq)
	return l.Seq()
}

// tail returns the last whole line of f, what follows it without an end of line, and the size of f.
func tail(f *os.File) (last, broken []byte, size int64, err error) {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil, nil, 0, err
	}
	size = info.Size()
	for n := min(size, 1<<16); ; n = min(size, 2*n) {
		b := make([]byte, n)
		if _, err := f.ReadAt(b, size-n); err != nil && err != io.EOF {
			return nil, nil, 0, err
		}
		end := bytes.LastIndexByte(b, '\n')
		begin := bytes.LastIndexByte(b[:max(end, 0)], '\n')
		switch {
		case n == size && end < 0:
			return nil, b, size, nil
		case n == size || begin >= 0:
			return b[begin+1 : end], b[end+1:], size, nil
		case n >= maxRecord:
			return nil, nil, 0, fmt.Errorf("its last line is longer than %d bytes", maxRecord)
		}
	}
}

// resumeText ends a broken last line, so that the next one stands by itself.
func resumeText(f *os.File) error {
	_, broken, _, err := tail(f)
	if err == nil && len(broken) > 0 {
		_, err = f.Write([]byte("\n"))
	}
	return err
}

// resumePCAPNG cuts off a packet that a crash left half written, so that a new section may follow.
func resumePCAPNG(f *os.File) error {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	end, err := capture.AppendOffset(f)
	if err == nil && end < info.Size() {
		err = f.Truncate(end)
	}
	return err
}
