package victorialogs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	logrustest "github.com/sirupsen/logrus/hooks/test"

	"syntap/cmd/internal/audit"
	"syntap/cmd/internal/config"
	"syntap/cmd/internal/fleet"
	"syntap/cmd/internal/fleet/fleettest"
	"syntap/cmd/internal/fleet/otlp"
	"syntap/cmd/internal/follow"
	"syntap/cmd/internal/record"
	"syntap/cmd/internal/record/recordtest"
	"syntap/tun/tuntest"
)

const (
	stop   = syscall.SIGSTOP
	resume = syscall.SIGCONT
)

// gate is a router whose log is shipped while it grows and is rotated.
type gate struct {
	t     *testing.T
	name  string
	path  string
	sink  *audit.Sink
	seq   uint64
	times fleet.Times
	url   string
	ship  *fleet.Shipper
	end   func()
}

func newGate(t *testing.T, url string, times fleet.Times) *gate {
	t.Helper()
	g := &gate{t: t, name: "gate", path: filepath.Join(t.TempDir(), "handshakes.json"), times: times, url: url}
	var err error
	g.sink, err = audit.Open(config.Sink{Format: config.JSON, Path: g.path, MaxSize: 1 << 20, Compress: true, Chain: true}, audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.sink.Close() })
	g.start()
	return g
}

// start ships until the end of the test, or stop.
func (g *gate) start() {
	g.t.Helper()
	c, err := New(otlp.Options{URL: g.url, Timeout: 3 * time.Second})
	if err != nil {
		g.t.Fatal(err)
	}
	logger, _ := logrustest.NewNullLogger()
	g.ship = fleet.New(fleet.Options{
		Former: g.ship, Router: g.name, Path: g.path, Delay: 100 * time.Millisecond, Times: g.times, Logger: logger,
		Destinations: []fleet.Destination{{URL: g.url, Receiver: c}},
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); g.ship.Run(ctx) }()
	g.end = sync.OnceFunc(func() { cancel(); <-done })
	g.t.Cleanup(g.end)
}

// write adds records to the log.
func (g *gate) write(n int) {
	g.t.Helper()
	var err error
	for range n {
		g.seq++
		r := recordtest.Handshake(uint16(g.seq), time.Now())
		err = errors.Join(err, g.sink.Record(&record.Attributed{Record: r, Opening: new(record.Opening)}))
	}
	if err := errors.Join(err, g.sink.Flush()); err != nil {
		g.t.Fatal(err)
	}
}

// whole waits until the store is proven to have the log, and compares the two.
func (g *gate) whole(patience time.Duration) {
	g.t.Helper()
	deadline := time.Now().Add(patience)
	for g.ship.Confirmed() < g.seq {
		if time.Now().After(deadline) {
			g.t.Fatalf("no proof after %v: %+v", patience, g.ship.Stats())
		}
		time.Sleep(50 * time.Millisecond)
	}
	var ours, theirs bytes.Buffer
	add := func(b *bytes.Buffer) func(uint64, []byte) error {
		return func(_ uint64, line []byte) error { b.Write(line); b.WriteByte('\n'); return nil }
	}
	if err := follow.Between(g.path, 1, g.seq, add(&ours)); err != nil {
		g.t.Fatal(err)
	}
	first, _, _ := bytes.Cut(ours.Bytes(), []byte("\n"))
	id, c := fleet.LogID{Router: g.name, Log: fleet.LogIDOf(first)}, client(g.t, g.url)
	runs, err := c.Has(g.t.Context(), id, fleet.Range{First: 1})
	if len(runs) != 1 || runs[0] != (fleet.Run{First: 1, Last: g.seq, Copies: 1}) || err != nil {
		g.t.Errorf("the store has %v, %v, want each of %d once", runs, err, g.seq)
	}
	if err := c.Lines(g.t.Context(), id, fleet.Range{First: 1}, add(&theirs)); err != nil {
		g.t.Error(err)
	}
	if !bytes.Equal(ours.Bytes(), theirs.Bytes()) {
		g.t.Errorf("the store has %d bytes that are not the log's %d", theirs.Len(), ours.Len())
	}
	now := g.ship.Stats()[0]
	if now.Refused+now.Lost+now.Forks+now.Duplicates > 0 {
		g.t.Errorf("stats %+v", now)
	}
	g.t.Logf("%d records, sent again: %v", g.seq, now.Resent)
}

// The engine is killed, stopped and killed while it is stopped, the shipper ends in between, and
// the log is rotated all the while: the store has each record once.
func TestEngineFaults(t *testing.T) {
	t.Parallel()
	v := fleettest.StartVictoriaLogs(t, "-inmemoryDataFlushInterval=1s")
	times := fleet.Times{Proof: 10 * time.Second, Poll: 20 * time.Millisecond, MostRetry: time.Second}
	rounds := 4
	if os.Getenv("SYNTAP_SOAK") != "" {
		v = fleettest.StartVictoriaLogs(t)
		times, rounds = fleet.Times{}, 200
	}
	g := newGate(t, v.URL, times)
	sent := func() uint64 { return g.ship.Stats()[0].Records }
	for i := range rounds {
		before := sent()
		g.write(500)
		tuntest.Wait(t, "records on their way", func() bool { return sent() > before || i%4 == 3 })
		switch i % 4 {
		case 0: // what it has answered is lost
			v.Kill()
			g.write(1000)
			v.Start()
		case 1: // it answers late
			v.Signal(stop)
			g.write(1000)
			tuntest.Wait(t, "an answer that does not come", func() bool { return g.ship.Stats()[0].Error != "" })
			v.Signal(resume)
		case 2: // the shipper ends at any time
			g.write(1000)
			g.end()
			g.write(1000)
			g.start()
		default:
			v.Signal(stop)
			g.write(1000)
			v.Kill()
			v.Start()
		}
		if i%10 == 9 {
			g.whole(5 * time.Minute)
		}
	}
	g.write(1)
	g.whole(5 * time.Minute)
	if files, err := filepath.Glob(filepath.Join(filepath.Dir(g.path), "*.gz")); len(files) < 2 || err != nil {
		t.Errorf("rotated files %v, %v, want several", files, err)
	}
}

// A store whose disk is full takes nothing, and says so; when it has room it gets all.
func TestStoreFull(t *testing.T) {
	t.Parallel()
	v := fleettest.StartVictoriaLogs(t, "-inmemoryDataFlushInterval=1s", "-storage.minFreeDiskSpaceBytes=1000TiB")
	g := newGate(t, v.URL, fleet.Times{Proof: 10 * time.Second, Poll: 20 * time.Millisecond, MostRetry: time.Second})
	g.write(500)
	tuntest.Wait(t, "the refusal", func() bool { return strings.Contains(g.ship.Stats()[0].Error, "429") })
	if now := g.ship.Stats()[0]; now.Records != 0 || now.Behind != 500 || now.SpoolBytes == 0 {
		t.Errorf("stats of a store that is full: %+v", now)
	}
	v.Kill()
	v.Start("-storage.minFreeDiskSpaceBytes=1")
	g.whole(5 * time.Minute)
}

// A thousand routers have one store.
func TestManyRouters(t *testing.T) {
	if os.Getenv("SYNTAP_SOAK") == "" {
		t.Skip("needs SYNTAP_SOAK=1")
	}
	t.Parallel()
	v := fleettest.StartVictoriaLogs(t)
	var all []*gate
	for i := range 1000 {
		g := newGate(t, v.URL, fleet.Times{Poll: time.Second})
		g.end()
		g.name = fmt.Sprint("gate-", i)
		g.start()
		g.write(300)
		all = append(all, g)
	}
	for _, g := range all {
		g.whole(10 * time.Minute)
	}
}

// BenchmarkShip ships 100,000 records to the real engine. The figures are of this process: time of
// its processors, allocations, and the memory that it has ever had of the system.
func BenchmarkShip(b *testing.B) {
	const n = 100_000
	path := filepath.Join(b.TempDir(), "handshakes.json")
	sink, err := audit.Open(config.Sink{Format: config.JSON, Path: path, MaxSize: 20 << 20, Compress: true, Chain: true}, audit.Options{})
	if err != nil {
		b.Fatal(err)
	}
	for i := range n {
		r := recordtest.Handshake(uint16(i), time.Now())
		if err := sink.Record(&record.Attributed{Record: r, Opening: new(record.Opening)}); err != nil {
			b.Fatal(err)
		}
	}
	if err := sink.Close(); err != nil {
		b.Fatal(err)
	}
	v := fleettest.StartVictoriaLogs(b)
	logger, _ := logrustest.NewNullLogger()
	b.ReportAllocs()
	var used time.Duration
	i := 0
	for b.Loop() {
		i++
		if err := os.Remove(path + ".fleet"); err != nil && !errors.Is(err, os.ErrNotExist) {
			b.Fatal(err)
		}
		c, err := New(otlp.Options{URL: v.URL})
		if err != nil {
			b.Fatal(err)
		}
		s := fleet.New(fleet.Options{
			Router: fmt.Sprint("gate-", i), Path: path, Logger: logger, Times: fleet.Times{Settle: time.Millisecond},
			Destinations: []fleet.Destination{{URL: v.URL, Receiver: c}},
		})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		before := cpu()
		go func() { defer close(done); s.Run(ctx) }()
		for s.Stats()[0].Records < n {
			time.Sleep(10 * time.Millisecond)
		}
		used += cpu() - before
		cancel()
		<-done
	}
	b.ReportMetric(float64(used.Microseconds())/float64(i*n), "µs/record")
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	b.ReportMetric(float64(memory.Sys)/(1<<20), "MiB")
}

// cpu returns the processor time of this process.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
