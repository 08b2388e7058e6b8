package roster

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"
	"time"

	"syntap/cmd/internal/fleet"
	"syntap/cmd/internal/fleet/fleettest"
	"syntap/cmd/internal/fleet/otlp"
	"syntap/cmd/internal/fleet/routerlog"
	"syntap/cmd/internal/fleet/search"
	"syntap/cmd/internal/fleet/victorialogs"
	"syntap/tun/tuntest"
)

func startStore(tb testing.TB) search.Store {
	tb.Helper()
	url := fleettest.StartVictoriaLogs(tb).URL
	client, err := victorialogs.New(otlp.Options{URL: url})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = client.Close() })
	return search.Store{URL: url, Engine: client}
}

// waitFor waits until a store has some logs up to their last records.
func waitFor(tb testing.TB, s search.Store, last map[fleet.LogID]uint64) {
	tb.Helper()
	tuntest.Wait(tb, "the records of the logs", func() bool {
		logs, err := s.Logs(tb.Context(), "")
		return err == nil && len(logs) == len(last) && !slices.ContainsFunc(logs, func(l fleet.State) bool {
			return l.Last != last[l.LogID]
		})
	})
}

// TestTake: each router stands there once, with the faults of its log.
func TestTake(t *testing.T) {
	t.Parallel()
	a, b := startStore(t), startStore(t)
	const n = 200
	lastA, lastB := make(map[fleet.LogID]uint64), make(map[fleet.LogID]uint64)
	put := func(router string, seed uint64, change func(lines [][]byte) [][]byte) *routerlog.Log {
		l := routerlog.New(router, n, seed, routerlog.Start, nil)
		l.Put(t, a.Engine, change(slices.Clone(l.Lines)))
		lastA[l.ID()] = n
		return l
	}
	whole := func(lines [][]byte) [][]byte { return lines }
	well := put("well", 1, whole)
	put("hole", 2, func(lines [][]byte) [][]byte { return slices.Delete(lines, 20, 25) })
	put("twice", 3, func(lines [][]byte) [][]byte { return append(lines, lines[10:17]...) })
	cut := put("cut", 4, func(lines [][]byte) [][]byte { return lines[:n-10] })
	lastA[cut.ID()] = n - 10
	cut.Put(t, b.Engine, cut.Lines)
	lastB[cut.ID()] = n
	fork := put("fork", 5, whole)
	other := routerlog.New("fork", n, 6, routerlog.Start, nil)
	forked := fleet.LogID{Router: "fork", Log: fleet.LogIDOf(fmt.Appendf(nil, "%s\n%s", fork.ID().Log, other.Lines[9]))}
	routerlog.PutAs(t, a.Engine, forked, other.Lines[9:])
	lastA[forked] = n
	waitFor(t, a, lastA)
	waitFor(t, b, lastB)

	gone, err := victorialogs.New(otlp.Options{URL: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	now := routerlog.Start.Add(time.Hour)
	stores := []search.Store{{URL: "http://127.0.0.1:1", Engine: gone}, a, b}
	r, err := Take(t.Context(), stores, Options{Since: routerlog.Start.Add(-time.Hour), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	if r.Store != a.URL || r.Stores[0].Error == "" || r.Stores[1].Behind != 10 || r.Stores[2].Behind < 4*n {
		t.Errorf("stores = %+v", r.Stores)
	}
	want := []Router{
		{Router: "cut", Last: n - 10, Behind: 10, Writers: 1, Logs: 1},
		{Router: "fork", Last: n, Forks: 1, Writers: 2, Logs: 2},
		{Router: "hole", Last: n, Missing: 5, Writers: 1, Logs: 1},
		{Router: "twice", Last: n, Duplicates: 7, Writers: 1, Logs: 1},
		{Router: "well", Last: n, Writers: 1, Logs: 1},
	}
	var got []Router
	for _, one := range r.Routers {
		got = append(got, Router{
			Router: one.Router, Last: one.Last, Behind: one.Behind, Missing: one.Missing, Duplicates: one.Duplicates,
			Forks: one.Forks, Writers: one.Writers, Logs: one.Logs,
		})
	}
	if !slices.Equal(got, want) {
		t.Errorf("routers:\ngot  %+v\nwant %+v", got, want)
	}
	last := r.Routers[len(r.Routers)-1]
	if hash := fmt.Sprintf("%x", sha256.Sum256(well.Lines[n-1])); last.Hash != hash || last.Log != well.ID().Log ||
		last.Age <= 0 || last.Age != now.Sub(last.Time).Seconds() {
		t.Errorf("well: %+v, want hash %s", last, hash)
	}
	heads, err := Heads(t.Context(), &a, "")
	if err != nil {
		t.Fatal(err)
	}
	if len(heads) != 6 || heads[5].Router != "well" || heads[5].Hash != last.Hash || heads[5].Seq != n {
		t.Errorf("heads = %+v", heads)
	}
}
