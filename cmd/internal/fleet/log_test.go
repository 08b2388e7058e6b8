package fleet

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	logrustest "github.com/sirupsen/logrus/hooks/test"

	"syntap/cmd/internal/logfile"
	"syntap/tun/tuntest"
)

// testLog is a JSON log that is written by hand.
type testLog struct {
	t     *testing.T
	path  string
	seq   uint64
	lines []string
	file  *os.File
	ahead time.Duration // of its clock
}

func newLog(t *testing.T) *testLog {
	l := &testLog{t: t, path: filepath.Join(t.TempDir(), "handshakes.json")}
	l.open()
	return l
}

func (l *testLog) open() {
	f, err := os.OpenFile(l.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { f.Close() })
	l.file = f
}

// write adds records, whose lines have a mark in them.
func (l *testLog) write(n int, mark string) {
	l.t.Helper()
	var b strings.Builder
	for range n {
		l.seq++
		line := fmt.Sprintf(`{"time":"%s","level":"info","msg":"handshake","seq":%d,"run_id":"00","proto":"tcp","outcome":"refused",`+
			`"src":"192.0.2.1","sport":%d,"dst":"198.51.100.2","dport":80,"process":"%s"}`,
			time.Now().Add(l.ahead).UTC().Format("2006-01-02T15:04:05.000000Z"), l.seq, l.seq%60000, mark)
		l.lines = append(l.lines, line)
		b.WriteString(line + "\n")
	}
	if _, err := l.file.WriteString(b.String()); err != nil {
		l.t.Fatal(err)
	}
}

// rotate has the log go on in another file, and returns the path of the former.
func (l *testLog) rotate(compress bool) string {
	l.t.Helper()
	base := strings.TrimSuffix(l.path, ".json")
	to := base + "-" + time.Now().UTC().Format("20060102T150405.000000Z") + ".json"
	if err := os.Rename(l.path, to); err != nil {
		l.t.Fatal(err)
	}
	l.file.Close()
	l.open()
	if compress {
		if err := logfile.Compress(context.Background(), to); err != nil {
			l.t.Fatal(err)
		}
		to += ".gz"
	}
	return to
}

func (l *testLog) id() LogID { return LogID{Router: "gate", Log: LogIDOf([]byte(l.lines[0]))} }

// options has the log shipped to a receiver.
func (l *testLog) options(to Receiver) Options {
	logger, _ := logrustest.NewNullLogger()
	return Options{
		Router: "gate", Path: l.path, Delay: time.Millisecond, Times: quick, Logger: logger,
		Destinations: []Destination{{URL: "https://store:9428", Receiver: to}},
	}
}

// start ships the log until the test ends, or the function that it returns is called.
func (l *testLog) start(to Receiver, change ...func(*Options)) (*Shipper, func()) {
	l.t.Helper()
	o := l.options(to)
	for _, f := range change {
		f(&o)
	}
	s := New(o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	stop := sync.OnceFunc(func() { cancel(); <-done })
	l.t.Cleanup(stop)
	return s, stop
}

// confirmed waits until a store is proven to have the whole log.
func (l *testLog) confirmed(s *Shipper) {
	l.t.Helper()
	tuntest.Wait(l.t, "the proof", func() bool { return s.Confirmed() == l.seq })
}

// holds fails the test unless a store has the lines of the log, each once.
func (l *testLog) holds(f *fakeStore, id LogID, lines []string) {
	l.t.Helper()
	got, twice := f.only(id)
	if diff := cmp.Diff(lines, got); diff != "" || twice > 0 {
		l.t.Errorf("%d records are there more than once; lines of %v (-want +got):\n%.2000s", twice, id, diff)
	}
}
