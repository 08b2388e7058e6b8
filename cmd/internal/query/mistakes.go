package query

import (
	"fmt"

	"syntap/cmd/internal/hint"
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
func notRecord(file string, line int) error { return fmt.Errorf("%s:%d: not a record", file, line) }

// errors returns an error for each line that is named, and one for the rest.
func (b *bad) errors(file string) (errs hint.List) {
	for _, line := range b.lines {
		errs = append(errs, notRecord(file, line))
	}
	if more := b.n - len(b.lines); more > 0 {
		errs = append(errs, fmt.Errorf("%s: not records either: %d more lines", file, more))
	}
	return errs
}

// tooOld is the error of records of a file that have no segments; nil for none.
func tooOld(file string, records int) error {
	if records == 0 {
		return nil
	}
	return hint.Fail(fmt.Errorf("%s: records without segments, printed in modern notation: %d", file, records),
		"an older syntap has written them; --format modern prints all alike")
}

// tally sums up the results of blocks, in their order.
type tally struct {
	counts   map[string]uint64
	writeErr error

	file string // the present one
	bad  bad    // of it
	old  int    // of it, records printed in modern notation
	errs hint.List
}

func (t *tally) take(file string, r *result) {
	for value, n := range r.counts {
		t.counts[value] += n
	}
	if file != t.file {
		t.endFile()
		t.file = file
	}
	t.bad.add(r.bad.lines, r.bad.n)
	t.old += r.old
}

// endFile keeps the errors of the present file.
func (t *tally) endFile() {
	t.errs = append(t.errs, t.bad.errors(t.file)...)
	if err := tooOld(t.file, t.old); err != nil {
		t.errs = append(t.errs, err)
	}
	t.bad, t.old = bad{}, 0
}

// err returns all that went wrong, and readErr, if that is an error too.
func (t *tally) err(readErr error) error {
	t.endFile()
	errs := t.errs
	for _, err := range []error{t.writeErr, readErr} {
		if err != nil {
			errs = append(errs, err)
		}
	}
	if errs == nil {
		return nil
	}
	return errs
}
