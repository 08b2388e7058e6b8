package hint

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"syntap/cmd/internal/terminal"
)

// Exit statuses of the program itself.
const (
	StatusFailure = 1 // the command could not do its work
	StatusUsage   = 2 // the command line or the config is wrong
)

// Error is an error with an exit status and, where there is a remedy, a hint.
type Error struct {
	Status int
	Err    error  // nil: nothing is printed
	Hint   string // "" = none
}

// Fail returns err as a failure, status 1, with a remedy.
func Fail(err error, hint string) error {
	return &Error{Status: StatusFailure, Err: err, Hint: hint}
}

// Usage returns err as a mistake of the caller, status 2, with a remedy.
func Usage(err error, hint string) error {
	return &Error{Status: StatusUsage, Err: err, Hint: hint}
}

// Exit ends the program with the given status and prints nothing: the messages are out
// already.
func Exit(status int) error {
	return &Error{Status: status}
}

// Error returns the text of the error without the hint.
func (e *Error) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit status %d", e.Status)
	}
	return e.Err.Error()
}

// Unwrap returns the error that was given a status and a hint.
func (e *Error) Unwrap() error { return e.Err }

// List is several errors that are reported together, in their order.
type List []error

// Error returns the errors' texts, one a line, as errors.Join does.
func (l List) Error() string {
	texts := make([]string, len(l))
	for i, err := range l {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "\n")
}

// Unwrap returns the errors.
func (l List) Unwrap() []error { return l }

// Of returns the outermost hint in err's chain, or "".
func Of(err error) string {
	for e := (*Error)(nil); errors.As(err, &e); err = e.Err {
		if e.Hint != "" {
			return e.Hint
		}
	}
	return ""
}

// Report prints err and its hint to w and returns the exit status it stands for, 0 for nil.
func Report(w io.Writer, err error) int {
	if err == nil {
		return 0
	}
	if list, ok := listOf(err); ok {
		status := 0
		for _, err := range list {
			status = max(status, Report(w, err))
		}
		return status
	}
	if e, ok := err.(*Error); ok {
		if list, ok := listOf(e.Err); ok {
			Report(w, List(list))
			if e.Hint != Of(e.Err) {
				writeLine(w, "hint", e.Hint)
			}
			return e.Status
		}
	}

	status := StatusFailure
	if e := (*Error)(nil); errors.As(err, &e) {
		status = e.Status
		if e.Err == nil {
			return status
		}
	}
	writeLine(w, "syntap", err.Error())
	if hint := Of(err); hint != "" {
		writeLine(w, "hint", hint)
	}
	return status
}

// listOf returns the errors of a List, or of errors.Join.
func listOf(err error) ([]error, bool) {
	several, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return nil, false
	}
	all := several.Unwrap()
	return all, List(all).Error() == err.Error() // else they are parts of a sentence
}

// writeLine writes a text that may name files, and quote them: its further lines are indented, so
// that none looks like a message.
func writeLine(w io.Writer, key, text string) {
	fmt.Fprintf(w, "%s: %s\n", key, strings.ReplaceAll(terminal.CleanLines(text), "\n", "\n  "))
}
