package follow

import (
	"bytes"
	"errors"
	"slices"

	"syntap/cmd/internal/logfile"
	"syntap/cmd/internal/record"
)

var errEnough = errors.New("enough")

// Between calls f with the lines of a log, without their ends, whose numbers lie between first and
// last, both included, as far as they are still there. An error of f ends it.
func Between(path string, first, last uint64, f func(seq uint64, line []byte) error) error {
	if first > last {
		return nil
	}
	r := Behind(path, first-1)
	defer r.Close()
	err := r.Read(func(l Lines) error {
		for line := range bytes.Lines(l.Text) {
			seq, ok := record.SeqOf(line)
			if !ok || seq < first {
				continue
			}
			if seq > last {
				return errEnough
			}
			if err := f(seq, bytes.TrimSuffix(line, []byte("\n"))); err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// Ends returns the numbers of the oldest and of the youngest record of a log; 0, 0 where it has
// none.
func Ends(path string) (first, last uint64, err error) {
	files, err := rotated(path)
	if err != nil {
		return 0, 0, err
	}
	for {
		first, last = ends(append(slices.Clip(files), path))
		now, err := rotated(path)
		if err != nil || slices.Equal(files, now) {
			return first, last, err
		}
		files = now // some were renamed, compressed or removed meanwhile
	}
}

// ends is Ends for files, the oldest first.
func ends(files []string) (first, last uint64) {
	var err error
	for _, file := range files {
		if first, err = record.FirstSeq(file); err == nil && first > 0 {
			break
		}
	}
	for _, file := range slices.Backward(files) {
		if last, _ = record.SeqOf(logfile.LastLine(file)); last > 0 {
			break
		}
	}
	return first, last
}
