package victorialogs

import (
	"os"
	"testing"
	"time"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/fleet"
	"syntap/cmd/internal/fleet/fleettest"
	"syntap/cmd/internal/fleet/otlp"
	"syntap/tun/tuntest"
)

// TestSizes measures the costs of records that README.md of configs/fleet names.
func TestSizes(t *testing.T) {
	if os.Getenv("SYNTAP_SOAK") == "" {
		t.Skip("measures for the text: SYNTAP_SOAK=1")
	}
	for _, word := range []string{"all", "minimal"} {
		c := config.Fleet{Fields: []string{word}}
		t.Run(word, func(t *testing.T) { measure(t, fleet.FieldsOf(c.Keys())) })
	}
}

// measure ships 100,000 records of four routers.
func measure(t *testing.T, fields fleet.Fields) {
	const routers, records, each = 4, 25_000, 500 // records of each router, and of a batch
	const all = routers * records
	dir := t.TempDir()
	address := fleettest.Address().String() + ":9428"
	server := fleettest.Start(t, fleettest.Program(t, fleettest.VictoriaLogsModule),
		"-httpListenAddr="+address, "-storageDataPath="+dir)
	c, err := New(otlp.Options{URL: "http://" + address})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	tuntest.Wait(t, "the store", func() bool {
		_, err := c.Logs(t.Context(), "")
		return err == nil
	})
	begin, size := time.Now().Add(-time.Minute), 0
	for router := range routers {
		id := fleet.LogID{Router: "gw" + string(rune('1'+router)), Log: "0123456789abcdef"}
		for first := uint64(1); first <= records; first += each {
			b := &fleet.Batch{LogID: id}
			for seq := first; seq < first+each; seq++ {
				at := begin.Add(time.Duration(seq) * 300 * time.Microsecond)
				line := fleettest.Line(seq+uint64(router)<<32, at)
				_, r, ok := fields.Append(nil, line)
				if !ok {
					t.Fatalf("no record: %s", line)
				}
				r.Seq = seq
				b.Records = append(b.Records, r)
				size += len(line) + 1
			}
			if err := c.Put(t.Context(), b); err != nil {
				t.Fatal(err)
			}
		}
	}
	tuntest.Wait(t, "all records", func() bool {
		runs, err := c.Has(t.Context(), fleet.LogID{Router: "gw4", Log: "0123456789abcdef"}, fleet.Range{})
		return err == nil && len(runs) == 1 && runs[0].Last == records
	})
	cpu, peak := server.Usage()
	server.Signal(os.Interrupt) // it writes what it has in memory
	server.Wait()
	t.Logf("%d records of %d bytes: %.1f µs and %.0f bytes a record, %d MiB at most", all, size/all,
		float64(cpu.Microseconds())/all, float64(fleettest.DiskUsage(t, dir))/all, peak>>20)
}
