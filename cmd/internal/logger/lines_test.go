//go:build linux

package logger

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"syntap/tun/tuntest"
)

// A log that is not read blocks no caller, and says how much of it is lost.
func TestLines(t *testing.T) {
	t.Parallel()
	read, write := io.Pipe()
	l := NewLines(write)
	for i := range 2 * maxLines {
		fmt.Fprintf(l, "line %d\n", i)
	}
	got := new(tuntest.Buffer)
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		_, _ = io.Copy(got, read)
	}()
	l.Close()
	write.Close()
	<-copied
	text := got.String()
	if lines := strings.Count(text, "line "); lines < maxLines || lines >= 2*maxLines || !strings.Contains(text, "lines of the log are lost") {
		t.Errorf("%d lines: %.200q", lines, text)
	}
}

func TestLinesThatAreStuck(t *testing.T) {
	t.Parallel()
	read, write := io.Pipe()
	l := NewLines(write)
	fmt.Fprintln(l, "stuck")
	start := time.Now()
	l.Close()
	if took := time.Since(start); took < LastChances {
		t.Errorf("closed after %v, with a line to write", took)
	}
	read.Close()
	<-l.done
}
