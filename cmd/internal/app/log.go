//go:build linux

package app

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/charmbracelet/x/term"
	"github.com/sirupsen/logrus"

	"syntap/cmd/internal/audit"
	"syntap/cmd/internal/config"
	"syntap/cmd/internal/hint"
	"syntap/cmd/internal/journal"
	"syntap/cmd/internal/record"
	"syntap/cmd/internal/terminal"
	"syntap/tap/handshake"
	"syntap/tun/flow"
)

// OpenLog opens the sinks of a handshake log, all of them or none; the path "-" means
// stdout. Route makes it write and closes it. Rotated files of the log that f ships stay until the
// stores have their records; nil ships none.
func OpenLog(
	c *config.Config, stdout io.Writer, logger logrus.FieldLogger, f *Fleet,
) (*audit.Log, error) {
	o := audit.Options{Stdout: stdout, Logger: logger, Run: thisRun()}
	if f != nil {
		o.Spool, o.Head, o.Written = f.spool, f.head, f.written
	} else if c.Fleet.Sink(c.Tap.Log) != nil {
		logger.Warn(`no record is sent to fleet.stores: only "syntap run" sends them`)
	}
	var open []*audit.Sink
	for _, c := range c.Tap.Log {
		s, err := audit.Open(c, o)
		if err != nil {
			for _, s := range open {
				_ = s.Close() // empty so far
			}
			if errors.Is(err, syscall.EMFILE) {
				err = hint.Fail(err, moreDescriptors)
			}
			return nil, err
		}
		open = append(open, s)
	}
	return audit.NewLog(open, audit.LogOptions{Logger: logger, Reserve: 4 * c.Limits.TCPFlows, Sinks: o}), nil
}

// NewLogger returns the program's own log.
func NewLogger(c config.Log, w io.Writer) (*logrus.Logger, error) {
	level, err := logrus.ParseLevel(c.Level)
	if err != nil {
		return nil, err
	}
	log := logrus.New()
	log.SetOutput(w)
	log.SetLevel(level)
	log.SetFormatter(formatter(c, w))
	return log, nil
}

func formatter(c config.Log, w io.Writer) logrus.Formatter {
	if lines, ok := w.(*Lines); ok {
		w = lines.w
	}
	var f logrus.Formatter = &logrus.JSONFormatter{}
	if c.Format == "text" {
		f = &textFormatter{logrus.TextFormatter{ForceColors: onTerminal(w)}}
	}
	if journal.Reads(w) {
		return journalFormatter{f}
	}
	return f
}

// onTerminal reports whether a log is read by people as it is written.
func onTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	name, value, _ := strings.Cut(atTerminal, "=")
	return ok && (term.IsTerminal(f.Fd()) || f == os.Stderr && os.Getenv(name) == value)
}

// textFormatter writes messages that may name files. Values it quotes where that is wanted; the
// message it does not, on a terminal.
type textFormatter struct{ logrus.TextFormatter }

// Format implements logrus.Formatter.
func (f *textFormatter) Format(e *logrus.Entry) ([]byte, error) {
	clean := *e
	clean.Message = terminal.Clean(e.Message)
	return f.TextFormatter.Format(&clean)
}

// journalFormatter gives each line its priority in the journal.
type journalFormatter struct{ logrus.Formatter }

// Format implements logrus.Formatter.
func (f journalFormatter) Format(e *logrus.Entry) ([]byte, error) {
	line, err := f.Formatter.Format(e)
	return journal.Mark(line, priority(e.Level)), err
}

func priority(level logrus.Level) journal.Priority {
	switch {
	case level <= logrus.ErrorLevel:
		return journal.Error
	case level == logrus.WarnLevel:
		return journal.Warning
	case level == logrus.InfoLevel:
		return journal.Info
	}
	return journal.Debug
}

// RecordLog takes the records of a router: an audit.Log, or a remote.Log, which another process
// writes.
type RecordLog interface {
	Record(r *record.Attributed)
	Datagram(d *record.AttributedDatagram)
	Segment(k flow.Key, s handshake.Segment)
	Flow(f record.AttributedFlow)
	Finding(f *record.Finding)

	Admission(now time.Time) flow.Admission
	DatagramAdmission(now time.Time) flow.Admission
	OnWritten(f func(k flow.Key, serverISN uint32, opening any))
	OnDatagramWritten(f func(*flow.Datagram))
	CountOpen(f func() int)
	CountFrames(f func() record.Frames)

	NamesOwners() bool
	Stats() audit.LogStats
	Reload(ctx context.Context, sinks []config.Sink) error
	Reopen()
	Run(ctx context.Context) error
}

// write has the log write while work runs, and to its end after that. A log that ends early, as
// on_full: stop asks for, ends the work.
func write(ctx context.Context, log RecordLog, work func(context.Context) error) (workErr, logErr error) {
	logCtx, silent := context.WithCancel(context.WithoutCancel(ctx))
	workCtx, stop := context.WithCancel(ctx)
	defer stop()
	written := make(chan error, 1)
	go func() {
		written <- log.Run(logCtx)
		stop() // without a log there is no work
	}()
	workErr = work(workCtx)
	silent()
	return workErr, <-written
}
