package routerlog

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	logrustest "github.com/sirupsen/logrus/hooks/test"

	"syntap/cmd/internal/audit"
	"syntap/cmd/internal/config"
	"syntap/cmd/internal/fleet"
	"syntap/cmd/internal/follow"
	"syntap/cmd/internal/record"
	"syntap/cmd/internal/record/recordtest"
)

// RouterOptions configure a Router. Name and Open are required.
type RouterOptions struct {
	Name   string
	Open   func() fleet.Store // a client of the store, which the router closes
	Reader func() fleet.Store // the same for one who may read all; nil = that is Open
	Times  fleet.Times

	MaxSize  int64 // bytes of the log at which it is rotated; 0 = a MiB
	MaxFiles int   // rotated files that are kept; 0 = all
	Spool    int64 // bytes of more files, kept for the store; 0 = 10 GiB
}

// Router is a router without its data path: a chained log that grows and is rotated, and a shipper.
type Router struct {
	Name string
	Path string // of the log
	Ship *fleet.Shipper
	Stop func() // ends the shipper, which sends the rest

	tb     testing.TB
	o      RouterOptions
	sink   *audit.Sink
	seq    atomic.Uint64                 // of the last record that is in the file
	handed int                           // records
	now    atomic.Pointer[fleet.Shipper] // Ship, for the sink's goroutine; nil = there was none yet
}

// NewRouter opens a log and ships it.
func NewRouter(tb testing.TB, o RouterOptions) *Router {
	tb.Helper()
	o.MaxSize, o.Spool = cmp.Or(o.MaxSize, 1<<20), cmp.Or(o.Spool, 10<<30)
	if o.Reader == nil {
		o.Reader = o.Open
	}
	r := &Router{Name: o.Name, Path: filepath.Join(tb.TempDir(), "handshakes.json"), tb: tb, o: o}
	sink := config.Sink{
		Format: config.JSON, Path: r.Path, MaxSize: config.Size(o.MaxSize), MaxFiles: o.MaxFiles,
		Compress: true, Chain: true,
	}
	var err error
	r.sink, err = audit.Open(sink, audit.Options{
		Written: func(_ string, seq uint64) { r.seq.Store(seq) },
		Spool: func(string) (audit.Spool, bool) {
			ship := r.now.Load()
			if ship == nil {
				return audit.Spool{}, false
			}
			return audit.Spool{Confirmed: ship.Confirmed(), Size: o.Spool, Drop: true}, true
		},
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { r.sink.Close() })
	r.Start()
	return r
}

// Start ships until Stop, or the end of the test.
func (r *Router) Start() {
	r.tb.Helper()
	store := r.o.Open()
	logger, _ := logrustest.NewNullLogger()
	r.Ship = fleet.New(fleet.Options{
		Former: r.Ship, Router: r.Name, Path: r.Path, Delay: 100 * time.Millisecond, Times: r.o.Times,
		Logger: logger, Written: r.seq.Load,
		Destinations: []fleet.Destination{{URL: "https://store:9428", Receiver: store}},
	})
	r.now.Store(r.Ship)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func(ship *fleet.Shipper) { defer close(done); ship.Run(ctx) }(r.Ship)
	r.Stop = sync.OnceFunc(func() { cancel(); <-done })
	r.tb.Cleanup(r.Stop)
}

// Write adds records to the log.
func (r *Router) Write(n int) {
	r.tb.Helper()
	var err error
	for range n {
		r.handed++
		h := recordtest.Handshake(uint16(r.handed), time.Now())
		err = errors.Join(err, r.sink.Record(&record.Attributed{Record: h, Opening: new(record.Opening)}))
	}
	if err := errors.Join(err, r.sink.Flush()); err != nil {
		r.tb.Fatal(err)
	}
}

// Last returns the number of the last record of the log.
func (r *Router) Last() uint64 { return r.seq.Load() }

// Stats returns the state of the store as the shipper sees it.
func (r *Router) Stats() fleet.Stats { return r.Ship.Stats()[0] }

// Proven waits until the store is proven to have the log.
func (r *Router) Proven(patience time.Duration) {
	r.tb.Helper()
	deadline := time.Now().Add(patience)
	for r.Ship.Confirmed() < r.Last() {
		if time.Now().After(deadline) {
			r.tb.Fatalf("no proof after %v: %+v", patience, r.Stats())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// compared is how many records are compared at once.
const compared = 50_000

// Whole waits until the store is proven to have the log, and fails the test unless it has one log
// of the router, with each record once, and those that have not been rotated away byte for byte.
func (r *Router) Whole(patience time.Duration) {
	r.tb.Helper()
	r.Proven(patience)
	store := r.o.Reader()
	defer store.Close()
	logs, err := store.Logs(r.tb.Context(), r.Name)
	if len(logs) != 1 || err != nil {
		r.tb.Fatalf("%s: the store has logs %+v, %v, want one", r.Name, logs, err)
	}
	id, last := logs[0].LogID, r.Last()
	for first := uint64(1); first <= last; first += compared {
		part := fleet.Range{First: first, Last: min(last, first+compared-1)}
		runs, err := store.Has(r.tb.Context(), id, part)
		want := fleet.Run{First: part.First, Last: part.Last, Copies: 1}
		if len(runs) != 1 || runs[0] != want || err != nil {
			r.tb.Errorf("%s: the store has %v, %v, want %v", r.Name, runs, err, want)
		}
		r.compare(store, id, part)
	}
	now := r.Stats()
	if now.Refused+now.Lost+now.Forks+now.Duplicates > 0 {
		r.tb.Errorf("%s: stats %+v", r.Name, now)
	}
	r.tb.Logf("%s: %d records, sent again: %v", r.Name, last, now.Resent)
}

// compare compares the records of a range that the log still has with those of the store.
func (r *Router) compare(store fleet.Store, id fleet.LogID, part fleet.Range) {
	r.tb.Helper()
	ours, theirs := sha256.New(), sha256.New()
	add := func(h hash.Hash) func(uint64, []byte) error {
		return func(_ uint64, line []byte) error {
			_, _ = h.Write(append(bytes.Clone(line), '\n')) // a hash has no errors
			return nil
		}
	}
	first, _, err := follow.Ends(r.Path)
	if err != nil {
		r.tb.Fatal(err)
	}
	part.First = max(part.First, first)
	if part.First > part.Last {
		return
	}
	if err := follow.Between(r.Path, part.First, part.Last, add(ours)); err != nil {
		r.tb.Fatal(err)
	}
	if err := store.Lines(r.tb.Context(), id, part, add(theirs)); err != nil {
		r.tb.Error(err)
	}
	if !bytes.Equal(ours.Sum(nil), theirs.Sum(nil)) {
		r.tb.Errorf("%s: the store has other bytes than the log from seq %d to %d", r.Name, part.First, part.Last)
	}
}
