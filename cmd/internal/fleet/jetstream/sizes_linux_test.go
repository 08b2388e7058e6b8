package jetstream

import (
	"os"
	"testing"
	"time"

	"syntap/cmd/internal/fleet"
	"syntap/cmd/internal/fleet/fleettest"
)

// TestSizes measures the costs of records that README.md of configs/fleet names.
func TestSizes(t *testing.T) {
	if os.Getenv("SYNTAP_SOAK") == "" {
		t.Skip("measures for the text: SYNTAP_SOAK=1")
	}
	const routers, records, each = 4, 25_000, 500 // records of each router, and of a batch
	c := newCluster(t)
	var bytes int64
	for router := range routers {
		name := "gw1"
		if router%2 == 1 {
			name = "gw2"
		}
		client := c.client(t, name)
		id := fleet.LogID{
			Router: name,
			Log:    []string{"0123456789abcdef", "fedcba9876543210"}[router/2],
		}
		for first := uint64(1); first <= records; first += each {
			b := &fleet.Batch{LogID: id}
			for seq := first; seq < first+each; seq++ {
				line := fleettest.Line(
					seq+uint64(router)<<32, start.Add(time.Duration(seq)*300*time.Microsecond),
				)
				b.Records = append(b.Records, fleet.Record{Seq: seq, Time: start, Line: line})
				bytes += int64(len(line)) + 1
			}
			if err := client.Put(t.Context(), b); err != nil {
				t.Fatal(err)
			}
		}
	}
	const all = routers * records
	t.Logf("%d records of %d bytes", all, bytes/all)
	for i, node := range c.nodes {
		cpu, peak := node.Usage()
		t.Logf(
			"node %d: %.1f µs and %.0f bytes a record, %d MiB at most", i+1,
			float64(cpu.Microseconds())/all, float64(fleettest.DiskUsage(t, c.dirs[i]))/all,
			peak>>20,
		)
	}
}
