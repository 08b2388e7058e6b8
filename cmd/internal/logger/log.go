//go:build linux

package logger

import (
	"io"
	"os"
	"strings"

	"github.com/charmbracelet/x/term"
	"github.com/sirupsen/logrus"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/journal"
	"syntap/cmd/internal/terminal"
)

// New returns the program's own log.
func New(c config.Log, w io.Writer) (*logrus.Logger, error) {
	level, err := logrus.ParseLevel(c.Level)
	if err != nil {
		return nil, err
	}
	log := logrus.New()
	log.SetOutput(w)
	log.SetLevel(level)
	log.SetFormatter(Formatter(c, w))
	return log, nil
}

// Formatter returns the form in which a log is written to w.
func Formatter(c config.Log, w io.Writer) logrus.Formatter {
	if lines, ok := w.(*Lines); ok {
		w = lines.w
	}
	var f logrus.Formatter = &logrus.JSONFormatter{}
	if c.Format == "text" {
		colored := inColor(w)
		f = &textFormatter{logrus.TextFormatter{ForceColors: colored, DisableColors: !colored}}
	}
	if journal.Reads(w) {
		return journalFormatter{f}
	}
	return f
}

// inColor reports whether a log is written for a terminal, of a user who takes colours.
func inColor(w io.Writer) bool { return onTerminal(w) && !isPlain(os.Getenv) }

// isPlain reports whether the environment asks for text without colours (no-color.org).
func isPlain(getenv func(string) string) bool {
	return getenv("NO_COLOR") != "" || getenv("TERM") == "dumb"
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
