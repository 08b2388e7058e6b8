package fleet

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"syntap/tun/tuntest"
)

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

// A log that is begun anew beside the position of the one before: before the store has answered,
// none of its records counts as confirmed, so that rotation removes none.
func TestBegunAnew(t *testing.T) {
	t.Parallel()
	l, store := newLog(t), newFakeStore()
	l.write(100, "x")
	s, stop := l.start(store)
	l.confirmed(s)
	stop()
	if s := New(l.options(store)); s.Confirmed() != 100 {
		t.Errorf("%d records are confirmed at the next start, want 100", s.Confirmed())
	}
	if err := os.Remove(l.path); err != nil {
		t.Fatal(err)
	}
	if s := New(l.options(store)); s.Confirmed() != 0 {
		t.Errorf("%d records are confirmed of no log", s.Confirmed())
	}
	l.open()
	l.seq, l.lines = 0, nil
	l.write(50, "y")
	if s := New(l.options(store)); s.Confirmed() != 0 {
		t.Errorf("%d records of the new log are confirmed, and the store has none", s.Confirmed())
	}
	s, _ = l.start(store)
	l.confirmed(s)
	l.holds(store, l.id(), l.lines)
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
