// Package journal gives lines on standard error their priority where systemd's journal reads them,
// so that "journalctl -p warning" finds them: a line begins with <4>, for example, which the
// journal takes off (sd-daemon(3)).
package journal

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"github.com/coreos/go-systemd/v22/journal"
)

// Priority is one of syslog(3): the lower, the more urgent.
type Priority int

// The priorities that the program uses.
const (
	Error   Priority = 3
	Warning Priority = 4
	Notice  Priority = 5
	Info    Priority = 6
	Debug   Priority = 7
)

// Reads reports whether w is standard error and JOURNAL_STREAM says that the journal reads it.
func Reads(w io.Writer) bool {
	if w != io.Writer(os.Stderr) {
		return false
	}
	is, err := journal.StderrIsJournalStream()
	return is && err == nil // a malformed variable is not systemd's
}

// Writer returns a writer to w that takes whole lines and gives them a priority, or w itself where
// the journal does not read it.
func Writer(w io.Writer, p Priority) io.Writer {
	if !Reads(w) {
		return w
	}
	return marking{w, p}
}

type marking struct {
	io.Writer
	priority Priority
}

// Write writes the lines in one piece.
func (m marking) Write(lines []byte) (int, error) {
	if _, err := m.Writer.Write(Mark(lines, m.priority)); err != nil {
		return 0, err
	}
	return len(lines), nil
}

// Mark returns lines with a priority in front of each.
func Mark(lines []byte, p Priority) []byte {
	var b bytes.Buffer
	for line := range bytes.Lines(lines) {
		fmt.Fprintf(&b, "<%d>%s", p, line)
	}
	return b.Bytes()
}
