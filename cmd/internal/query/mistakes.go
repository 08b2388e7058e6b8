package query

import (
	"fmt"

	"syntap/cmd/internal/hint"
	"syntap/cmd/internal/logfile"
)

// maxNamed is how many lines of a file, that are no records, are named each.
const maxNamed = 10

// bad is lines that are no records: the first maxNamed, and how many there are.
type bad struct {
	lines []int
	n     int
}

func (b *bad) add(lines []int, n int) {
	b.lines = append(b.lines, lines[:min(len(lines), maxNamed-len(b.lines))]...)
	b.n += n
}

// notRecord is the error of a line that is no record.
func notRecord(file string, line int) error {
	return fmt.Errorf("%s:%d: not a record", nameOf(file), line)
}

// nameOf returns a file's name for errors.
func nameOf(file string) string {
	if file == logfile.Stdin {
		return "standard input"
	}
	return file
}

// errors returns an error for each line that is named, and one for the rest.
func (b *bad) errors(file string) (errs hint.List) {
	for _, line := range b.lines {
		errs = append(errs, notRecord(file, line))
	}
	if more := b.n - len(b.lines); more > 0 {
		errs = append(errs, fmt.Errorf("%s: not records either: %d more lines", nameOf(file), more))
	}
	return errs
}

// tooOld is the error of records of a file that have no segments; nil for none.
func tooOld(file string, records int) error {
	if records == 0 {
		return nil
	}
	return hint.Fail(fmt.Errorf("%s: records without segments, printed in modern notation: %d", nameOf(file), records),
		"an older syntap has written them; --format modern prints all alike")
}

// tally sums up the faults of blocks, in their order.
type tally struct {
	writeErr, readErr error

	file string // the present one
	bad  bad    // of it
	old  int    // of it, records printed in modern notation
	gaps gaps
	errs hint.List
}

func (t *tally) take(file string, r *result) {
	if file != t.file {
		t.endFile()
		t.file = file
	}
	t.bad.add(r.bad.lines, r.bad.n)
	t.old += r.old
	t.gaps = append(t.gaps, r.gaps...)
}

// endFile keeps the errors of the present file.
func (t *tally) endFile() {
	t.errs = append(t.errs, t.bad.errors(t.file)...)
	if err := tooOld(t.file, t.old); err != nil {
		t.errs = append(t.errs, err)
	}
	t.bad, t.old = bad{}, 0
}

// err returns all that went wrong.
func (t *tally) err() error {
	t.endFile()
	errs := t.errs
	for _, err := range []error{t.writeErr, t.readErr} {
		if err != nil {
			errs = append(errs, err)
		}
	}
	if errs == nil {
		return nil
	}
	return errs
}
