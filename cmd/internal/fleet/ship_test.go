package fleet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"
	logrustest "github.com/sirupsen/logrus/hooks/test"

	"syntap/tun/tuntest"
)

// quick are times that make a test short and its order the same.
var quick = Times{
	Poll: 2 * time.Millisecond, Proof: 90 * time.Millisecond, AtOnce: 10 * time.Second, Settle: 10 * time.Millisecond,
	Retry: 2 * time.Millisecond, MostRetry: 10 * time.Millisecond, Finish: time.Millisecond,
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
	stop() // sends the rest
	p, err := ReadPosition(l.path)
	if err != nil {
		t.Fatal(err)
	}
	place, _ := p.Of("https://store:9428")
	want := Confirmed{
		URL: "https://store:9428", Router: "gate", Log: l.id().Log, Origin: l.id().Log, Begin: 1, Seq: l.seq - 1,
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

// Of a batch that a receiver refuses which cannot be asked, the other records arrive.
func TestReceiverRefuses(t *testing.T) {
	t.Parallel()
	l, store := newLog(t), newFakeStore()
	store.onPut = func(_ int, b *Batch) (int, error) {
		if slices.ContainsFunc(b.Records, func(r Record) bool { return r.Seq == 20 }) {
			return 0, &Refused{Err: errors.New("400 Bad Request")}
		}
		return len(b.Records), nil
	}
	l.write(100, "x")
	s, _ := l.start(plain{store})
	l.confirmed(s)
	l.holds(store, l.id(), slices.Concat(l.lines[:19], l.lines[20:]))
	if n := s.Stats()[0].Refused; n != 1 {
		t.Errorf("%d refused, want 1", n)
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
