//go:build linux

package app

import (
	"context"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/sirupsen/logrus"
	logrustest "github.com/sirupsen/logrus/hooks/test"

	"syntap/cmd/internal/config"
)

// The program's log speaks to a terminal in the logger's own colours only.
func TestLogOnTerminal(t *testing.T) {
	t.Parallel()
	const hostile = "a\x1b]0;PWN\x07\u009b31m\x9b\u202e\x7fb"
	var out strings.Builder
	log, err := NewLogger(config.Log{Level: "info", Format: "text"}, &out)
	if err != nil {
		t.Fatal(err)
	}
	text, ok := log.Formatter.(*textFormatter)
	if !ok {
		t.Fatalf("formatter %T", log.Formatter)
	}
	for _, text.ForceColors = range []bool{true, false} {
		log.WithFields(logrus.Fields{"path": hostile, "error": hostile}).Warn("handshake log " + hostile)
	}
	got := regexp.MustCompile(`\x1b\[[0-9]+m`).ReplaceAllString(out.String(), "")
	if at := strings.IndexFunc(got, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) || r == unicode.ReplacementChar }); at >= 0 {
		t.Errorf("the log has %q at %d", got, at)
	}
	if strings.Count(got, "PWN") != 6 {
		t.Errorf("the log lacks a name: %q", got)
	}
}

// Each level has its priority in the journal, and each line of a message.
func TestPriorities(t *testing.T) {
	t.Parallel()
	for level, want := range map[logrus.Level]string{
		logrus.ErrorLevel: "<3>", logrus.WarnLevel: "<4>", logrus.InfoLevel: "<6>", logrus.DebugLevel: "<7>",
	} {
		for _, format := range []logrus.Formatter{&logrus.JSONFormatter{}, &textFormatter{}} {
			entry := logrus.NewEntry(logrus.New())
			entry.Level, entry.Message = level, "two\nlines"
			line, err := journalFormatter{format}.Format(entry)
			if got := string(line); err != nil || strings.Count(got, "\n") != strings.Count(got, want) || !strings.HasPrefix(got, want) {
				t.Errorf("level %s: %q, %v, want each line to begin with %s", level, got, err, want)
			}
		}
	}
}

// A log that is to be sent to stores, and is not, is told of.
func TestFleetOfRunAlone(t *testing.T) {
	t.Parallel()
	c := config.Default()
	c.Tap.Log = []config.Sink{{Format: config.JSON, Path: filepath.Join(t.TempDir(), "log.json")}}
	c.Fleet.Stores = []config.FleetStore{{URL: "https://logs1:9428"}}
	for _, f := range []*Fleet{nil, {}} {
		logger, hook := logrustest.NewNullLogger()
		log, err := OpenLog(c, io.Discard, logger, f)
		if err != nil {
			t.Fatal(err)
		}
		ended, end := context.WithCancel(t.Context())
		end()
		if err := log.Run(ended); err != nil {
			t.Fatal(err)
		}
		told := slices.ContainsFunc(hook.AllEntries(), func(e *logrus.Entry) bool {
			return strings.Contains(e.Message, "fleet.stores")
		})
		if told != (f == nil) {
			t.Errorf("with a fleet %t, told %t", f != nil, told)
		}
	}
}
