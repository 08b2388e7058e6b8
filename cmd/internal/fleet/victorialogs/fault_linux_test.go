package victorialogs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	logrustest "github.com/sirupsen/logrus/hooks/test"

	"syntap/cmd/internal/audit"
	"syntap/cmd/internal/config"
	"syntap/cmd/internal/fleet"
	"syntap/cmd/internal/fleet/fleettest"
	"syntap/cmd/internal/fleet/otlp"
	"syntap/cmd/internal/fleet/routerlog"
	"syntap/cmd/internal/record"
	"syntap/cmd/internal/record/recordtest"
	"syntap/tun/tuntest"
)

const (
	stop   = syscall.SIGSTOP
	resume = syscall.SIGCONT
)

// newRouter returns a router that ships to a store.
func newRouter(t *testing.T, name, url string, times fleet.Times) *routerlog.Router {
	t.Helper()
	return routerlog.NewRouter(t, routerlog.RouterOptions{Name: name, Open: clients(t, url), Times: times})
}

// clients returns a function that opens clients of a store.
func clients(t *testing.T, url string) func() fleet.Store {
	return func() fleet.Store {
		t.Helper()
		c, err := New(otlp.Options{URL: url, Timeout: 3 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
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
	g := newRouter(t, "gate", v.URL, times)
	sent := func() uint64 { return g.Stats().Records }
	for i := range rounds {
		before := sent()
		g.Write(500)
		tuntest.Wait(t, "records on their way", func() bool { return sent() > before || i%4 == 3 })
		switch i % 4 {
		case 0: // what it has answered is lost
			v.Kill()
			g.Write(1000)
			v.Start()
		case 1: // it answers late
			v.Signal(stop)
			g.Write(1000)
			tuntest.Wait(t, "an answer that does not come", func() bool { return g.Stats().Error != "" })
			v.Signal(resume)
		case 2: // the shipper ends at any time
			g.Write(1000)
			g.Stop()
			g.Write(1000)
			g.Start()
		default:
			v.Signal(stop)
			g.Write(1000)
			v.Kill()
			v.Start()
		}
		if i%10 == 9 {
			g.Whole(5 * time.Minute)
		}
	}
	g.Write(1)
	g.Whole(5 * time.Minute)
	if files, err := filepath.Glob(filepath.Join(filepath.Dir(g.Path), "*.gz")); len(files) < 2 || err != nil {
		t.Errorf("rotated files %v, %v, want several", files, err)
	}
}

// A store whose disk is full takes nothing, and says so; when it has room it gets all.
func TestStoreFull(t *testing.T) {
	t.Parallel()
	v := fleettest.StartVictoriaLogs(t, "-inmemoryDataFlushInterval=1s", "-storage.minFreeDiskSpaceBytes=1000TiB")
	g := newRouter(t, "gate", v.URL, fleet.Times{Proof: 10 * time.Second, Poll: 20 * time.Millisecond, MostRetry: time.Second})
	g.Write(500)
	tuntest.Wait(t, "the refusal", func() bool { return strings.Contains(g.Stats().Error, "429") })
	if now := g.Stats(); now.Records != 0 || now.Behind != 500 || now.SpoolBytes == 0 {
		t.Errorf("stats of a store that is full: %+v", now)
	}
	v.Kill()
	v.Start("-storage.minFreeDiskSpaceBytes=1")
	g.Whole(5 * time.Minute)
}

// A thousand routers have one store.
func TestManyRouters(t *testing.T) {
	if os.Getenv("SYNTAP_SOAK") == "" {
		t.Skip("needs SYNTAP_SOAK=1")
	}
	t.Parallel()
	v := fleettest.StartVictoriaLogs(t)
	var all []*routerlog.Router
	for i := range 1000 {
		g := newRouter(t, fmt.Sprint("gate-", i), v.URL, fleet.Times{Poll: time.Second})
		g.Write(300)
		all = append(all, g)
	}
	for _, g := range all {
		g.Whole(10 * time.Minute)
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
