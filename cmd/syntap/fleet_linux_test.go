package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"syntap/cmd/internal/fleet"
	"syntap/cmd/internal/fleet/fleettest"
	"syntap/cmd/internal/fleet/otlp"
	"syntap/cmd/internal/fleet/routerlog"
	"syntap/cmd/internal/fleet/victorialogs"
	"syntap/tun/tuntest"
)

// TestFleet runs the program on a store with the logs of two routers: see testdata/fleet. The
// scripts have STORE, its URL, and gate1.json and gate2.json, the logs; of gate2 the store lacks
// the end.
func TestFleet(t *testing.T) {
	t.Parallel()
	const records, cut = 100, 90
	url := fleettest.StartVictoriaLogs(t).URL
	store, err := victorialogs.New(otlp.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	gate1 := routerlog.New("gate1", records, 1, routerlog.Start, nil)
	gate2 := routerlog.New("gate2", records, 2, routerlog.Start, nil)
	gate1.Put(t, store, gate1.Lines)
	gate1.Put(t, store, gate1.Lines[20:30])
	gate2.Put(t, store, gate2.Lines[:cut])
	tuntest.Wait(t, "the records", func() bool {
		all, err := store.Logs(t.Context(), "")
		return err == nil && len(all) == 2 && all[0].Last == records && all[1].Last == cut
	})
	tuntest.Wait(t, "all copies", func() bool {
		runs, err := store.Has(t.Context(), gate1.ID(), fleet.Range{First: 21, Last: 30})
		return err == nil && len(runs) == 1 && runs[0].Copies == 2
	})
	testscript.Run(t, testscript.Params{
		Dir: "testdata/fleet",
		Setup: func(env *testscript.Env) error {
			env.Setenv("STORE", url)
			env.Setenv("LOG2", gate2.ID().Log)
			env.Setenv("GORACE", "atexit_sleep_ms=0")
			env.Setenv("TZ", "UTC")
			for _, l := range []*routerlog.Log{gate1, gate2} {
				if err := os.WriteFile(filepath.Join(env.WorkDir, l.Router+".json"), l.Text(), 0o600); err != nil {
					return err
				}
			}
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"exits": exits},
	})
}
