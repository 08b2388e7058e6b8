//go:build linux

package logger

import (
	"bytes"
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// Lines is a writer for the program's own log that blocks no caller: where a terminal stands still
// (Ctrl-S), or a program does not read, routes are repaired and a stop is finished all the same.
// Lines that there is no room for are lost and counted.
type Lines struct {
	w       io.Writer
	queue   chan []byte
	lost    atomic.Uint64
	closing chan struct{}
	done    chan struct{}
}

const (
	maxLines    = 1024        // that wait
	LastChances = time.Second // for those that wait at the end
)

// NewLines returns a writer of lines to w. Close ends it.
func NewLines(w io.Writer) *Lines {
	l := &Lines{w: w, queue: make(chan []byte, maxLines), closing: make(chan struct{}), done: make(chan struct{})}
	go l.run()
	return l
}

// Write takes one line. It neither waits nor fails.
func (l *Lines) Write(line []byte) (int, error) {
	select {
	case l.queue <- bytes.Clone(line):
	default:
		l.lost.Add(1)
	}
	return len(line), nil
}

// Close returns when all lines are written, or a second has passed.
func (l *Lines) Close() {
	close(l.closing)
	select {
	case <-l.done:
	case <-time.After(LastChances): // a write that is stuck ends with the process
	}
}

func (l *Lines) run() {
	defer close(l.done)
	for {
		select {
		case line := <-l.queue:
			l.write(line)
			continue
		default:
		}
		select {
		case line := <-l.queue:
			l.write(line)
		case <-l.closing:
			for len(l.queue) > 0 {
				l.write(<-l.queue)
			}
			return
		}
	}
}

// write writes a line, after a line about those that are lost.
func (l *Lines) write(line []byte) {
	if n := l.lost.Swap(0); n > 0 {
		fmt.Fprintf(l.w, "syntap: %d lines of the log are lost: nothing read them\n", n)
	}
	_, _ = l.w.Write(line) // there is no place to report it
}
