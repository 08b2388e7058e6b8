//go:build linux

package logger

import (
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/sirupsen/logrus"

	"syntap/cmd/internal/config"
)

// The program's log speaks to a terminal in the logger's own colours only.
func TestLogOnTerminal(t *testing.T) {
	t.Parallel()
	const hostile = "a\x1b]0;PWN\x07\u009b31m\x9b\u202e\x7fb"
	var out strings.Builder
	log, err := New(config.Log{Level: "info", Format: "text"}, &out)
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

// Colours are left out where the environment asks for that.
func TestPlain(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, value string
		want        bool
	}{
		{"NO_COLOR", "1", true},
		{"NO_COLOR", "", false},
		{"TERM", "dumb", true},
		{"TERM", "xterm-256color", false},
	} {
		getenv := func(name string) string {
			if name == tt.name {
				return tt.value
			}
			return ""
		}
		if got := isPlain(getenv); got != tt.want {
			t.Errorf("%s=%s: plain %t, want %t", tt.name, tt.value, got, tt.want)
		}
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
