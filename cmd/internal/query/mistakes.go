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

// tally sums up what the workers have made of blocks, in their order.
type tally struct {
	counts   map[string]uint64
	writeErr error

	file string // the present one
	bad  bad    // of it
	errs hint.List
}

func (t *tally) take(file string, r *result) {
	for value, n := range r.counts {
		t.counts[value] += n
	}
	if file != t.file {
		t.errs = append(t.errs, t.bad.errors(t.file)...)
		t.file, t.bad = file, bad{}
	}
	t.bad.add(r.bad.lines, r.bad.n)
}

// err returns all that went wrong, and readErr, if that is an error too.
func (t *tally) err(readErr error) error {
	errs := append(t.errs, t.bad.errors(t.file)...)
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
