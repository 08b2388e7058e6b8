//go:build linux

package logger

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"syntap/cmd/internal/journal"
)

// atTerminal is the variable of the environment that tells a process that its standard error is
// passed on to a terminal, in colour.
const atTerminal = "SYNTAP_TERMINAL=1"

// Relay returns a standard error for a process, whose text is passed on to that of this one, and
// what the environment has to say of it. So the process has no descriptor of a terminal, from which
// it could read, or of a file, which it could write over. relayed is closed at the end of the text,
// once theirs is closed, too.
func Relay() (theirs *os.File, env []string, relayed <-chan struct{}, err error) {
	ours, theirs, err := os.Pipe()
	if err != nil {
		return nil, nil, nil, err
	}
	if inColor(os.Stderr) {
		env = append(env, atTerminal)
	}
	if journal.Reads(os.Stderr) {
		var st unix.Stat_t
		if err := unix.Fstat(int(theirs.Fd()), &st); err == nil {
			env = append(env, fmt.Sprintf("JOURNAL_STREAM=%d:%d", st.Dev, st.Ino))
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer ours.Close()
		buf := make([]byte, 4<<10) // of a pipe, one line at a time fits
		for {
			n, err := ours.Read(buf)
			if n > 0 {
				_, _ = os.Stderr.Write(buf[:n]) // there is no place to report it
			}
			if err != nil {
				return
			}
		}
	}()
	return theirs, env, done, nil
}
