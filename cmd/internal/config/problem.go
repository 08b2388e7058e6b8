package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"syntap/cmd/internal/hint"
)

// maxProblems is how many mistakes of one file are reported; a file with more is not a config.
const maxProblems = 50

// place is a position in the file, from 1. The zero place is the file as a whole.
type place struct{ line, column int }

// problem is one mistake in a config file.
type problem struct {
	file  string
	place place
	key   string // such as tun.mtu or tap.log[0].path; "" when no key is to blame
	err   error
}

// Error returns file:line:column: key: message.
func (p *problem) Error() string {
	var b strings.Builder
	b.WriteString(p.file)
	if p.place.line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.place.line, p.place.column)
	}
	if p.key != "" {
		b.WriteString(": " + p.key)
	}
	return b.String() + ": " + p.err.Error()
}

// report returns the problems as one error with status 2, in the order of the file; nil if there
// are none.
func report(problems []*problem) error {
	if len(problems) == 0 {
		return nil
	}
	slices.SortStableFunc(problems, func(a, b *problem) int {
		return cmp.Or(cmp.Compare(a.place.line, b.place.line), cmp.Compare(a.place.column, b.place.column))
	})
	var list hint.List
	for _, p := range problems[:min(len(problems), maxProblems)] {
		list = append(list, hint.Usage(p, hint.Of(p.err)))
	}
	if more := len(problems) - maxProblems; more > 0 {
		list = append(list, hint.Usage(fmt.Errorf("%s: %d more problems", problems[0].file, more), ""))
	}
	return list
}
