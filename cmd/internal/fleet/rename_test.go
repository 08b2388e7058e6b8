package fleet

import (
	"errors"
	"io/fs"
	"os"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	logrustest "github.com/sirupsen/logrus/hooks/test"

	"syntap/cmd/internal/logfile"
	"syntap/tun/tuntest"
)

// TestRenamed: a router that gets another name, by its config or its host, sends no record again:
// its log goes on under the new name, and later under the former one.
func TestRenamed(t *testing.T) {
	t.Parallel()
	l, store := newLog(t), newFakeStore()
	for i, name := range []string{"gate", "gate-2", "gate"} {
		l.write(50, "x")
		s, stop := l.start(store, func(o *Options) { o.Router = name })
		l.confirmed(s)
		stop()
		if now := s.Stats()[0]; now.Records != 50 || now.Forks > 0 || now.Lost > 0 {
			t.Errorf("run %d: stats %+v, want 50 records", i, now)
		}
	}
	l.holds(store, l.id(), append(append([]string{}, l.lines[:50]...), l.lines[100:]...))
	l.holds(store, LogID{Router: "gate-2", Log: l.id().Log}, l.lines[50:100])
}

// TestPositionUnwritten: while the position cannot be written, as on a full disk, records go on to
// the store, and the program's log says so once; a restart sends none again.
func TestPositionUnwritten(t *testing.T) {
	t.Parallel()
	l, store := newLog(t), newFakeStore()
	inTheWay := l.path + logfile.FleetSuffix + ".tmp"
	if err := os.Mkdir(inTheWay, 0o700); err != nil {
		t.Fatal(err)
	}
	logger, hook := logrustest.NewNullLogger()
	s, stop := l.start(store, func(o *Options) { o.Logger = logger })
	for range 3 {
		l.write(20, "x")
		l.confirmed(s)
	}
	stop()
	if n := len(hook.AllEntries()); n != 1 || hook.LastEntry().Level != logrus.ErrorLevel {
		t.Errorf("%d messages, want one error", n)
	}
	if _, err := os.Stat(l.path + logfile.FleetSuffix); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("the position was written all the same: %v", err)
	}
	if err := os.Remove(inTheWay); err != nil {
		t.Fatal(err)
	}
	l.write(20, "x")
	s, _ = l.start(store)
	l.confirmed(s)
	l.holds(store, l.id(), l.lines)
	if now := s.Stats()[0]; now.Records != 20 {
		t.Errorf("stats after a restart: %+v, want 20 records", now)
	}
}

// TestResendMeanwhile: a store that has lost records gets them once, by "fleet resend" or by the
// router, although both see that they are missing.
func TestResendMeanwhile(t *testing.T) {
	t.Parallel()
	l, store := newLog(t), newFakeStore()
	l.write(100, "x")
	s, stop := l.start(store)
	l.confirmed(s)
	stop()
	store.mu.Lock()
	lost := store.logs[l.id()]
	delete(store.logs, l.id())
	store.mu.Unlock()
	release, _, err := logfile.LockFleet(l.path) // as fleet resend does
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan struct{}, 1)
	store.mu.Lock()
	store.between = func() { asked <- struct{}{} }
	store.mu.Unlock()
	s, _ = l.start(store)
	for range 3 { // looks of the router at the store
		select {
		case <-asked:
		case <-time.After(tuntest.Patience):
			t.Fatal("the router does not look at the store")
		}
		store.mu.Lock()
		if store.between == nil {
			store.between = func() { asked <- struct{}{} }
		}
		if len(store.logs[l.id()]) > 0 {
			t.Error("the router sends records that are being sent")
		}
		store.mu.Unlock()
	}
	store.mu.Lock()
	store.between = nil
	store.logs[l.id()] = lost
	store.mu.Unlock()
	release()
	l.write(10, "y")
	l.confirmed(s)
	l.holds(store, l.id(), l.lines)
}
