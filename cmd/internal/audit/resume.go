package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"

	"syntap/cmd/internal/logfile"
	"syntap/cmd/internal/record"
	"syntap/tap/capture"
)

// resumeJSON makes a JSON log ready for the next record and returns its last one, nil for none.
func resumeJSON(f *os.File) (last []byte, err error) {
	return resumeLines(f, record.Begin, func(line []byte) bool {
		_, ok := recordSeq(line)
		return ok
	})
}

// resumeEvents returns a function that makes a log of events ready for the next one: of lines of
// JSON that begin with a text.
func resumeEvents(begin string) func(*os.File) error {
	return func(f *os.File) error {
		_, err := resumeLines(f, begin, func(line []byte) bool {
			return bytes.HasPrefix(line, []byte(begin)) && json.Valid(line)
		})
		return err
	}
}

// resumeLines makes f ready for the next line and returns its last one, nil for none. A crash may
// have left a broken last line: a record that lacks only its end of line gets it, the beginning of
// one is cut off.
func resumeLines(f *os.File, begin string, isRecord func(line []byte) bool) (last []byte, err error) {
	last, broken, size, err := logfile.Tail(f)
	if err != nil || size == 0 {
		return nil, err
	}
	if len(broken) > 0 {
		if isRecord(broken) {
			_, err = f.Write([]byte("\n"))
			return broken, err
		}
		if !bytes.HasPrefix([]byte(begin), broken[:min(len(begin), len(broken))]) {
			return nil, errors.New("it does not end in a record")
		}
		if err := f.Truncate(size - int64(len(broken))); err != nil || last == nil {
			return nil, err
		}
	}
	if !isRecord(last) {
		return nil, errors.New("its last line is not a record")
	}
	return last, nil
}

// recordSeq returns the number of a record.
func recordSeq(line []byte) (uint64, bool) {
	if !json.Valid(line) {
		return 0, false
	}
	return record.SeqOf(line)
}

// lastRotated returns the last record of a JSON log whose file is absent or empty: that of the
// youngest rotated file, ours or logrotate's; nil for a log that has none. A file that cannot be
// read, or is no JSON log, is no reason to refuse the log.
func lastRotated(path string) ([]byte, error) {
	files, err := logfile.Before(path)
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		last := logfile.LastLine(file)
		if _, ok := recordSeq(last); ok {
			return last, nil
		}
	}
	return nil, nil
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
