package jetstream

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"syntap/cmd/internal/fleet"
	"syntap/cmd/internal/fleet/fleettest"
	"syntap/cmd/internal/fleet/routerlog"
)

// TestShipper ships a log, and the rest of it after the position has been lost: the stream has each
// line once, as it is in the file.
func TestShipper(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	path := filepath.Join(t.TempDir(), "handshakes.json")
	var log bytes.Buffer
	id := fleet.LogID{Router: "gw2"}
	for part := range uint64(2) {
		for seq := 500*part + 1; seq <= 500*(part+1); seq++ {
			line := fleettest.Line(seq, start.Add(time.Duration(seq)*time.Millisecond))
			if seq == 1 {
				id.Log = fleet.LogIDOf(line)
			}
			log.Write(append(line, '\n'))
		}
		if err := os.WriteFile(path, log.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		_ = os.Remove(path + ".fleet") // the position; there is none at first
		c.ship(t, path, id, 500*(part+1))
		if got := lines(t, c.client(t, "reader"), id, fleet.Range{}); got != log.String() {
			t.Errorf("the stream has %d bytes, want the %d of the log", len(got), log.Len())
		}
	}
}

// ship ships the log of gw2 until the stream has its last record.
func (c *cluster) ship(t *testing.T, path string, id fleet.LogID, last uint64) {
	t.Helper()
	logger := logrus.New()
	logger.SetOutput(t.Output())
	shipper := fleet.New(fleet.Options{
		Router: id.Router, Path: path, Logger: logger,
		Destinations: []fleet.Destination{{URL: c.url, Receiver: c.client(t, id.Router)}},
	})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		shipper.Run(ctx)
	}()
	reader := c.client(t, "reader")
	wait(t, "the whole log", func() bool {
		runs, err := reader.Has(t.Context(), id, fleet.Range{})
		return err == nil && slices.Equal(runs, []fleet.Run{{First: 1, Last: last, Copies: 1}})
	})
	stop()
	<-done
}

// Nodes are killed, one after the other and all at once, and the shipper too, while the log grows
// and is rotated: the stream has each record once.
func TestShipperKills(t *testing.T) {
	t.Parallel()
	rounds := 4
	if os.Getenv("SYNTAP_SOAK") != "" {
		rounds = 200
	}
	c := newCluster(t)
	open := func() fleet.Store {
		client := c.client(t, "gw1")
		client.timeout = 5 * time.Second // nodes that are killed do not answer
		return client
	}
	times := fleet.Times{
		Proof: time.Second, Poll: 10 * time.Millisecond, MostRetry: time.Second, Finish: time.Millisecond,
	}
	r := routerlog.NewRouter(t, routerlog.RouterOptions{
		Name: "gw1", Open: open, Reader: func() fleet.Store { return c.client(t, "reader") }, Times: times,
	})
	for round := range rounds {
		r.Write(1 + rand.IntN(1000))
		<-time.After(rand.N(500 * time.Millisecond)) // a random moment, not a condition
		killed := c.nodes[round%3 : round%3+1]
		if round%4 == 3 {
			killed = c.nodes
		}
		for _, node := range killed {
			node.Kill()
		}
		r.Write(1 + rand.IntN(1000))
		if rand.IntN(2) == 0 {
			r.Stop()
			r.Write(1 + rand.IntN(1000))
			r.Start()
		}
		for _, node := range killed {
			node.Restart()
		}
		if round%20 == 19 {
			r.Whole(10 * time.Minute)
		}
	}
	r.Write(1)
	r.Whole(10 * time.Minute)
}
