package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"
	logrustest "github.com/sirupsen/logrus/hooks/test"

	"syntap/cmd/internal/logfile"
	"syntap/tun/tuntest"
)

// quick are times that make a test short and its order the same.
var quick = Times{
	Poll: 2 * time.Millisecond, Proof: 90 * time.Millisecond, AtOnce: 10 * time.Second, Settle: 10 * time.Millisecond,
	Retry: 2 * time.Millisecond, MostRetry: 10 * time.Millisecond, Finish: time.Millisecond,
}

// testLog is a JSON log that is written by hand.
type testLog struct {
	t     *testing.T
	path  string
	seq   uint64
	lines []string
	file  *os.File
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
			time.Now().UTC().Format("2006-01-02T15:04:05.000000Z"), l.seq, l.seq%60000, mark)
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

// start ships the log until the test ends, or the function that it returns is called.
func (l *testLog) start(to Receiver, change ...func(*Options)) (*Shipper, func()) {
	l.t.Helper()
	logger, _ := logrustest.NewNullLogger()
	o := Options{
		Router: "gate", Path: l.path, Delay: time.Millisecond, Times: quick, Logger: logger,
		Destinations: []Destination{{URL: "https://store:9428", Receiver: to}},
	}
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

func TestShip(t *testing.T) {
	t.Parallel()
	l, store := newLog(t), newFakeStore()
	l.write(10, "a")
	l.rotate(true)
	l.write(10, "b")
	s, stop := l.start(store)
	l.confirmed(s)
	for i := range 20 {
		l.write(50, "c")
		l.rotate(i%2 == 0)
	}
	l.write(5000, "d") // more than a batch
	l.confirmed(s)
	l.holds(store, l.id(), l.lines)
	stop()
	l.write(7, "e") // while nothing is shipped
	l.rotate(true)
	l.write(7, "f")
	s, stop = l.start(store)
	l.confirmed(s)
	l.holds(store, l.id(), l.lines)
	l.write(1, "the last one")
	stop() // sends what is left
	p, err := ReadPosition(l.path)
	if err != nil {
		t.Fatal(err)
	}
	place, _ := p.Of("https://store:9428")
	want := Confirmed{
		URL: "https://store:9428", Log: l.id().Log, Origin: l.id().Log, Begin: 1, Seq: l.seq - 1,
		Hash: hashOf([]byte(l.lines[l.seq-2])),
	}
	if diff := cmp.Diff(want, place); diff != "" {
		t.Errorf("position (-want +got):\n%s", diff)
	}
}

// A store that answers wrongly has each record once all the same.
func TestFaults(t *testing.T) {
	t.Parallel()
	const n = 300
	type answer func(f *fakeStore, n int, b *Batch) (stored int, err error)
	for name, tt := range map[string]struct {
		answer  answer
		refused uint64
	}{
		"forgets": {answer: func(_ *fakeStore, n int, b *Batch) (int, error) {
			if n%3 == 1 {
				return 0, nil
			}
			return len(b.Records), nil
		}},
		"forgets a part": {answer: func(_ *fakeStore, n int, b *Batch) (int, error) {
			if n%2 == 1 {
				return len(b.Records) / 2, nil
			}
			return len(b.Records), nil
		}},
		"cuts before": {answer: func(_ *fakeStore, n int, b *Batch) (int, error) {
			if n%3 != 0 {
				return 0, errCut
			}
			return len(b.Records), nil
		}},
		"cuts behind": {answer: func(_ *fakeStore, n int, b *Batch) (int, error) {
			if n%3 != 0 {
				return len(b.Records), errCut
			}
			return len(b.Records), nil
		}},
		"cuts in the middle": {answer: func(_ *fakeStore, n int, b *Batch) (int, error) {
			if n%3 != 0 {
				return len(b.Records) / 2, errCut
			}
			return len(b.Records), nil
		}},
		"busy": {answer: func(_ *fakeStore, n int, b *Batch) (int, error) {
			if n%4 != 0 {
				return 0, &Busy{Err: errors.New("429 Too Many Requests")}
			}
			return len(b.Records), nil
		}},
		"too large": {answer: func(_ *fakeStore, _ int, b *Batch) (int, error) {
			if len(b.Records) > 10 {
				return 0, &Refused{TooLarge: true, Err: errors.New("413 Request Entity Too Large")}
			}
			return len(b.Records), nil
		}},
		"refuses a record": {refused: 1, answer: func(_ *fakeStore, _ int, b *Batch) (int, error) {
			if i := slices.IndexFunc(b.Records, func(r Record) bool { return r.Seq == 200 }); i >= 0 {
				return i, &Refused{Err: errors.New("400 Bad Request")}
			}
			return len(b.Records), nil
		}},
		"refuses for a time": {answer: func(_ *fakeStore, n int, b *Batch) (int, error) {
			if n <= 2 {
				return 0, &Refused{Err: errors.New("400 Bad Request")}
			}
			return len(b.Records), nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, store := newLog(t), newFakeStore()
			store.onPut = func(n int, b *Batch) (int, error) { return tt.answer(store, n, b) }
			s, _ := l.start(store)
			for range 10 {
				l.write(n/10, "x")
			}
			l.confirmed(s)
			lines := slices.Clone(l.lines)
			if tt.refused > 0 {
				lines = slices.Delete(lines, 199, 200)
			}
			l.holds(store, l.id(), lines)
			if got := s.Stats()[0]; got.Refused != tt.refused || got.Duplicates != 0 || got.Lost != 0 {
				t.Errorf("stats %+v, want %d refused, none lost, none twice", got, tt.refused)
			}
		})
	}
}

// A request that is applied after its answer was given up is not sent twice, if it is applied
// before the store is asked for it.
func TestLate(t *testing.T) {
	t.Parallel()
	l, store := newLog(t), newFakeStore()
	store.onPut = func(n int, b *Batch) (int, error) {
		if n == 1 {
			store.storeLate(b)
			return 0, context.DeadlineExceeded
		}
		return len(b.Records), nil
	}
	l.write(100, "x")
	s, _ := l.start(store)
	l.confirmed(s)
	l.holds(store, l.id(), l.lines)
}

// Records that the store answers and does not keep are given up after three rounds.
func TestRefusedForGood(t *testing.T) {
	t.Parallel()
	l, store := newLog(t), newFakeStore()
	store.keeps = func(r *Record) bool { return r.Seq > 40 } // the others are too old
	l.write(100, "x")
	s, _ := l.start(store)
	l.confirmed(s)
	l.holds(store, l.id(), l.lines[40:])
	now := s.Stats()[0]
	if now.Refused != 40 || now.Resent["forgotten"] != 3*40 {
		t.Errorf("stats %+v, want 40 refused after 3 rounds", now)
	}
}

// A shipper that is killed at any time leaves the next one to go on, and the store to have each
// record once.
func TestKilledShipper(t *testing.T) {
	t.Parallel()
	l, store := newLog(t), newFakeStore()
	store.onPut = func(n int, b *Batch) (int, error) {
		if n%5 == 0 {
			return len(b.Records) * (n % 3) / 2, errCut
		}
		return len(b.Records), nil
	}
	for range 40 {
		l.write(20, "x")
		puts := func() int { store.mu.Lock(); defer store.mu.Unlock(); return store.puts }
		before := puts()
		_, stop := l.start(store)
		tuntest.Wait(t, "a request", func() bool { return puts() > before })
		stop()
	}
	l.write(1, "x")
	s, _ := l.start(store)
	l.confirmed(s)
	l.holds(store, l.id(), l.lines)
}

// Without NAME.fleet the store is asked how far it has the log: one that has lost its first records
// to rotation is found by its others.
func TestLostPosition(t *testing.T) {
	t.Parallel()
	for _, rotated := range []bool{false, true} {
		t.Run(fmt.Sprint("rotated ", rotated), func(t *testing.T) {
			t.Parallel()
			l, store := newLog(t), newFakeStore()
			l.write(50, "x")
			old := l.rotate(false)
			l.write(50, "x")
			s, stop := l.start(store)
			l.confirmed(s)
			stop()
			if err := os.Remove(l.path + ".fleet"); err != nil {
				t.Fatal(err)
			}
			if rotated {
				if err := os.Remove(old); err != nil {
					t.Fatal(err)
				}
			}
			l.write(50, "y")
			s, _ = l.start(store)
			l.confirmed(s)
			l.holds(store, l.id(), l.lines)
		})
	}
}

// A log that contradicts the store goes on there under another name.
func TestFork(t *testing.T) {
	t.Parallel()
	l, store := newLog(t), newFakeStore()
	l.write(60, "x")
	s, stop := l.start(store)
	l.confirmed(s)
	stop()
	// The host is set back to an earlier state, and goes on from there.
	before, first := slices.Clone(l.lines), l.id()
	l.seq, l.lines = 40, l.lines[:40]
	if err := os.WriteFile(l.path, []byte(strings.Join(l.lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, _ = l.start(store)
	l.write(30, "y")
	l.confirmed(s)
	fork := LogID{Router: "gate", Log: forkID(first.Log, []byte(l.lines[40]))}
	l.holds(store, first, before)
	l.holds(store, fork, l.lines[40:])
	if now := s.Stats()[0]; now.Forks != 1 || now.Refused+now.Lost+now.Duplicates > 0 {
		t.Errorf("stats %+v, want one fork", now)
	}
}

// Two hosts with one name and one log, such as copies of a machine: both find out, and go on under
// names of their own.
func TestTwoWriters(t *testing.T) {
	t.Parallel()
	one, store := newLog(t), newFakeStore()
	one.write(10, "x")
	s, stop := one.start(store)
	one.confirmed(s)
	stop()
	two := newLog(t)
	two.seq, two.lines = one.seq, slices.Clone(one.lines)
	for _, suffix := range []string{"", ".fleet"} {
		b, err := os.ReadFile(one.path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(two.path+suffix, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	first, _ := one.start(store)
	second, _ := two.start(store)
	one.write(10, "one")
	two.write(10, "two")
	one.confirmed(first)
	two.confirmed(second)
	one.write(10, "one")
	two.write(10, "two")
	one.confirmed(first)
	two.confirmed(second)
	forks := first.Stats()[0].Forks + second.Stats()[0].Forks
	if forks == 0 {
		t.Fatal("neither has found the other")
	}
	var all []string
	store.mu.Lock()
	for _, log := range store.logs {
		for _, copies := range log {
			all = append(all, copies...)
		}
	}
	store.mu.Unlock()
	for _, line := range slices.Concat(one.lines, two.lines) {
		if !slices.Contains(all, line) {
			t.Errorf("the store lacks %s", line)
		}
	}
}

// Another host with the same name and log writes while a shipper asks for its place: its records do
// not count as ours.
func TestWriterBetween(t *testing.T) {
	t.Parallel()
	l, store := newLog(t), newFakeStore()
	l.write(10, "x")
	s, stop := l.start(store)
	l.confirmed(s)
	stop()
	first := l.id()
	l.write(10, "y")
	store.between = func() {
		var others []Record
		for seq := uint64(11); seq <= 20; seq++ {
			line := strings.Replace(l.lines[seq-1], `"y"`, `"z"`, 1)
			others = append(others, Record{Seq: seq, Line: []byte(line)})
		}
		store.store(first, others)
	}
	s, _ = l.start(store)
	l.confirmed(s)
	l.holds(store, LogID{Router: "gate", Log: forkID(first.Log, []byte(l.lines[10]))}, l.lines[10:])
	if lines, _ := store.only(first); len(lines) != 20 || slices.Contains(lines, l.lines[10]) {
		t.Errorf("%d records under the first name, want 10 of ours and 10 of the other's", len(lines))
	}
}

// A store that has lost what it had, restored from an older copy or made anew, gets it again.
func TestRestoredStore(t *testing.T) {
	t.Parallel()
	for _, left := range []uint64{0, 30} {
		t.Run(fmt.Sprint(left), func(t *testing.T) {
			t.Parallel()
			l, store := newLog(t), newFakeStore()
			l.write(100, "x")
			s, _ := l.start(store)
			l.confirmed(s)
			store.mu.Lock()
			for seq := range store.logs[l.id()] {
				if seq > left {
					delete(store.logs[l.id()], seq)
				}
			}
			store.silent = true // while it is restored
			store.mu.Unlock()
			l.write(10, "y")
			tuntest.Wait(t, "the failure", func() bool { return s.Stats()[0].Error != "" })
			store.mu.Lock()
			store.silent = false
			store.mu.Unlock()
			l.confirmed(s)
			l.holds(store, l.id(), l.lines)
		})
	}
}

// Records that are removed before a store has them are counted, and the others go on.
func TestRemoved(t *testing.T) {
	t.Parallel()
	l, store := newLog(t), newFakeStore()
	l.write(10, "x")
	s, _ := l.start(store)
	l.confirmed(s)
	store.mu.Lock()
	store.silent = true
	store.mu.Unlock()
	l.write(10, "x")
	tuntest.Wait(t, "the failure", func() bool { return s.Stats()[0].Error != "" })
	l.rotate(false)
	l.write(10, "x")
	removed := l.rotate(true)
	l.write(10, "x")
	if err := os.Remove(removed); err != nil {
		t.Fatal(err)
	}
	store.mu.Lock()
	store.silent = false
	store.mu.Unlock()
	l.confirmed(s)
	l.holds(store, l.id(), slices.Concat(l.lines[:20], l.lines[30:]))
	if now := s.Stats()[0]; now.Lost != 10 || now.Refused != 0 {
		t.Errorf("stats %+v, want 10 lost", now)
	}
}

// plain is a receiver that cannot be asked.
type plain struct{ store *fakeStore }

func (p plain) Put(ctx context.Context, b *Batch) error { return p.store.Put(ctx, b) }
func (p plain) Close() error                            { return nil }

// Records of a write that is taken back are not sent: others have their numbers.
func TestTakenBack(t *testing.T) {
	t.Parallel()
	l, store := newLog(t), newFakeStore()
	var written, asked atomic.Uint64
	l.write(10, "x")
	written.Store(10)
	s, _ := l.start(store, func(o *Options) {
		o.Written = func() uint64 { asked.Add(1); return written.Load() }
	})
	l.confirmed(s)
	size, err := l.file.Seek(0, io.SeekCurrent)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		before := asked.Load()
		l.write(5, "taken back")
		tuntest.Wait(t, "a look at them", func() bool { return asked.Load() >= before+3 })
		if err := l.file.Truncate(size); err != nil {
			t.Fatal(err)
		}
		l.seq, l.lines = 10, l.lines[:10]
	}
	l.write(7, "y")
	written.Store(17)
	l.confirmed(s)
	l.holds(store, l.id(), l.lines)
}

// A receiver that cannot be asked gets each record at least once.
func TestReceiver(t *testing.T) {
	t.Parallel()
	l, store := newLog(t), newFakeStore()
	store.onPut = func(n int, b *Batch) (int, error) {
		switch n % 4 {
		case 1:
			return 0, errCut
		case 2:
			return len(b.Records), errCut
		}
		return len(b.Records), nil
	}
	s, stop := l.start(plain{store})
	for range 10 {
		l.write(30, "x")
	}
	l.confirmed(s)
	stop()
	l.write(10, "x")
	s, _ = l.start(plain{store})
	l.confirmed(s)
	if lines, _ := store.only(l.id()); !slices.Equal(lines, l.lines) {
		t.Errorf("%d lines, want all %d", len(lines), len(l.lines))
	}
}

// Heads of a chained log arrive as such.
func TestHead(t *testing.T) {
	t.Parallel()
	l, store := newLog(t), newFakeStore()
	l.write(3, "x")
	s, _ := l.start(store)
	const line = `{"time":"2026-11-26T07:50:00.000000Z","log":"/var/log/a.json","seq":3,"hash":"00","keyed":false,"sum":"00"}`
	s.Head([]byte(line))
	l.confirmed(s)
	tuntest.Wait(t, "the head", func() bool { store.mu.Lock(); defer store.mu.Unlock(); return slices.Contains(store.heads, line) })
	l.holds(store, l.id(), l.lines)
}

// A failing store is reported once, and once when it works again.
func TestReport(t *testing.T) {
	t.Parallel()
	l, store := newLog(t), newFakeStore()
	store.silent = true
	logger, hook := logrustest.NewNullLogger()
	l.write(3, "x")
	s, _ := l.start(store, func(o *Options) { o.Logger = logger })
	tuntest.Wait(t, "the report", func() bool { return len(hook.AllEntries()) > 0 })
	store.mu.Lock()
	store.silent = false
	store.mu.Unlock()
	l.confirmed(s)
	var levels []logrus.Level
	for _, e := range hook.AllEntries() {
		levels = append(levels, e.Level)
	}
	if want := []logrus.Level{logrus.ErrorLevel, logrus.InfoLevel}; !slices.Equal(levels, want) {
		t.Errorf("levels %v, want %v", levels, want)
	}
}
