package proof

import (
	"bytes"
	"testing"
	"time"

	"syntap/cmd/internal/fleet"
	"syntap/cmd/internal/fleet/fleettest"
	"syntap/cmd/internal/fleet/otlp"
	"syntap/cmd/internal/fleet/routerlog"
	"syntap/cmd/internal/fleet/victorialogs"
	"syntap/tun/tuntest"
)

// A store is away until the spool is full: the oldest records go, which the log says. The store
// gets all others, each once, and is told which it lacks, so that it is not taken to have lost
// them.
func TestSpoolFull(t *testing.T) {
	t.Parallel()
	v := fleettest.StartVictoriaLogs(t, "-inmemoryDataFlushInterval=1s")
	open := func() *victorialogs.Client {
		t.Helper()
		c, err := victorialogs.New(otlp.Options{URL: v.URL})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	r := routerlog.NewRouter(t, routerlog.RouterOptions{
		Name: "gate", Open: func() fleet.Store { return open() }, MaxFiles: 2, Spool: 300 << 10,
		Times: fleet.Times{Proof: 10 * time.Second, Poll: 20 * time.Millisecond, MostRetry: time.Second},
	})
	r.Write(100)
	r.Proven(time.Minute + tuntest.Patience)
	v.Kill()
	for range 20 {
		r.Write(1000)
	}
	v.Start()
	r.Proven(time.Minute + tuntest.Patience)
	store := open()
	defer store.Close()
	logs, err := store.Logs(t.Context(), "gate")
	if err != nil || len(logs) != 1 {
		t.Fatalf("logs %+v, %v", logs, err)
	}
	runs, err := store.Has(t.Context(), logs[0].LogID, fleet.Range{First: 1})
	if err != nil {
		t.Fatal(err)
	}
	var there uint64
	for _, run := range runs {
		there += (run.Last - run.First + 1) * uint64(run.Copies)
	}
	if now := r.Stats(); now.Lost == 0 || there+now.Lost != r.Last() || now.Refused+now.Duplicates+now.Forks > 0 {
		t.Errorf("%d of %d records are there: %+v", there, r.Last(), now)
	}
	announced := false
	err = store.Lines(t.Context(), logs[0].LogID, fleet.Range{First: 1}, func(_ uint64, line []byte) error {
		announced = announced || bytes.Contains(line, []byte(`"reason":"fleet_full"`))
		return nil
	})
	if err != nil || !announced {
		t.Errorf("the store has no gap of %d records: %v", r.Stats().Lost, err)
	}
	all, missing := verify(t, store, Options{})
	log := all["gate"]
	if log == nil {
		t.Fatal("nothing is verified")
	}
	if len(log.Breaks)+len(missing) > 0 || log.Last != r.Last() {
		t.Errorf("of %d: verified %+v, missing %q", r.Last(), log.Verified, missing)
	}
}
