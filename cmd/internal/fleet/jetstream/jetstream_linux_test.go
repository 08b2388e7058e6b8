package jetstream

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"syntap/cmd/internal/fleet"
	"syntap/tun/tuntest"
)

// start is the time of the first record of all logs.
var start = time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC)

// batch makes records of a log. Those of another hand have the same numbers and other lines.
func batch(id fleet.LogID, first, last uint64, hand string) *fleet.Batch {
	b := &fleet.Batch{LogID: id}
	for seq := first; seq <= last; seq++ {
		at := start.Add(time.Duration(seq) * time.Second)
		line := fmt.Sprintf(
			`{"time":"%s","level":"info","msg":"handshake","seq":%d,"hand":"%s","fill":"%s"}`,
			at.Format(time.RFC3339Nano), seq, hand, strings.Repeat("x", int(seq%2000)),
		)
		b.Records = append(b.Records, fleet.Record{Seq: seq, Time: at, Line: []byte(line)})
	}
	return b
}

// lines returns the lines of a range, as one text.
func lines(t *testing.T, s fleet.Store, id fleet.LogID, r fleet.Range) string {
	t.Helper()
	var all strings.Builder
	err := s.Lines(t.Context(), id, r, func(seq uint64, line []byte) error {
		if !strings.Contains(string(line), fmt.Sprintf(`"seq":%d,`, seq)) {
			return fmt.Errorf("record %d is %s", seq, line)
		}
		fmt.Fprintf(&all, "%s\n", line)
		return nil
	})
	if err != nil {
		t.Errorf("lines of %v, %+v: %v", id, r, err)
	}
	return all.String()
}

func text(batches ...*fleet.Batch) string {
	var all strings.Builder
	for _, b := range batches {
		for _, r := range b.Records {
			fmt.Fprintf(&all, "%s\n", r.Line)
		}
	}
	return all.String()
}

// TestStore writes a log with a gap, twice what is there, and by a client that knows nothing of it.
func TestStore(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	writer, reader := c.client(t, "gw1"), c.client(t, "reader")
	id := fleet.LogID{Router: "gw1", Log: "0123456789abcdef"}
	ctx := t.Context()
	if runs, err := writer.Has(ctx, id, fleet.Range{}); err != nil || len(runs) != 0 {
		t.Fatalf("an empty stream has %v, %v", runs, err)
	}
	put := func(w *Client, b *fleet.Batch) {
		t.Helper()
		if err := w.Put(ctx, b); err != nil {
			t.Fatal(err)
		}
	}
	put(writer, batch(id, 5, 1000, "a"))
	put(writer, batch(id, 1, 1000, "a"))
	put(writer, batch(id, 990, 1500, "a"))
	put(c.client(t, "gw1"), batch(id, 1400, 1600, "a"))
	put(writer, batch(id, 1550, 1700, "a")) // has not seen the other's
	split := time.Now()
	put(writer, batch(id, 1801, 1900, "a"))
	put(writer, &fleet.Batch{LogID: id, Records: []fleet.Record{{Head: 1900, Line: []byte("{}")}}})

	want := []fleet.Run{{First: 5, Last: 1700, Copies: 1}, {First: 1801, Last: 1900, Copies: 1}}
	for _, s := range []*Client{writer, reader, c.client(t, "gw1")} {
		if runs, err := s.Has(ctx, id, fleet.Range{First: 1}); err != nil ||
			!slices.Equal(runs, want) {
			t.Errorf("has %v, %v, want %v", runs, err, want)
		}
		states, err := s.Logs(ctx, "gw1")
		if diff := cmp.Diff([]fleet.State{{LogID: id, First: 5, Last: 1900, Time: start.Add(1900 * time.Second)}}, states); err != nil ||
			diff != "" {
			t.Errorf("logs: %v (-want +got):\n%s", err, diff)
		}
	}
	wait(t, "the message since a time", func() bool { // each node has it in the end
		m, err := reader.firstSince(ctx, subject(id), split)
		return err == nil && m != nil && m.First == 1801
	})
	for after, want := range map[time.Duration]uint64{0: 5, 2 * time.Hour: 0} {
		if first, ok, err := reader.FirstSince(ctx, id, split.Add(after)); first != want || ok != (want > 0) || err != nil {
			t.Errorf("%v later: first %d, %t, %v, want %d", after, first, ok, err, want)
		}
	}
	part := fleet.Range{First: 1600, Last: 1850}
	if runs, err := writer.Has(ctx, id, part); err != nil ||
		!slices.Equal(
			runs,
			[]fleet.Run{{First: 1600, Last: 1700, Copies: 1}, {First: 1801, Last: 1850, Copies: 1}},
		) {
		t.Errorf("has %v, %v of a range", runs, err)
	}
	for _, r := range []struct {
		r    fleet.Range
		want string
	}{
		{fleet.Range{}, text(batch(id, 5, 1700, "a"), batch(id, 1801, 1900, "a"))},
		{fleet.Range{First: 100, Last: 1200}, text(batch(id, 100, 1200, "a"))},
		{fleet.Range{First: 1201, Last: 1850}, text(batch(id, 1201, 1700, "a"), batch(id, 1801, 1850, "a"))}, // the next page
		{fleet.Range{First: 2, Last: 10}, text(batch(id, 5, 10, "a"))},
		{fleet.Range{Begin: start.Add(20 * time.Second), End: start.Add(30 * time.Second)}, text(batch(id, 20, 30, "a"))},
		{fleet.Range{First: 1901}, ""},
	} {
		if diff := cmp.Diff(r.want, lines(t, reader, id, r.r)); diff != "" {
			t.Errorf("lines of %+v (-want +got):\n%.2000s", r.r, diff)
		}
	}
	// All that a router needs of its past is the last record.
	if got, want := lines(t, c.client(t, "gw1"), id, fleet.Range{First: 1900, Last: 1900}), text(batch(id, 1900, 1900, "a")); got != want {
		t.Errorf("last line %q, want %q", got, want)
	}

	refused := (*fleet.Refused)(nil)
	if err := writer.Put(ctx, batch(id, 1890, 2000, "b")); !errors.As(err, &refused) ||
		!errors.Is(err, errForked) {
		t.Errorf("put of another hand's records: %v, want that it is refused", err)
	}
	if err := writer.Put(ctx, batch(id, 1, 4, "a")); !errors.As(err, &refused) {
		t.Errorf("put before the end: %v, want that it is refused", err)
	}
}

// TestForging has a router write in the name of another, and read the other's records.
func TestForging(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	id := fleet.LogID{Router: "gw2", Log: "0123456789abcdef"}
	if err := c.client(t, "gw2").Put(t.Context(), batch(id, 1, 10, "a")); err != nil {
		t.Fatal(err)
	}
	forger := c.client(t, "gw1")
	forger.timeout = 2 * time.Second // servers do not answer a question that is not for this user
	if err := forger.Put(t.Context(), batch(id, 11, 20, "b")); err == nil {
		t.Error("gw1 has written as gw2")
	}
	err := forger.Lines(t.Context(), id, fleet.Range{}, func(uint64, []byte) error { return nil })
	if err == nil {
		t.Error("gw1 has read the records of gw2")
	}
	reader := c.client(t, "reader")
	if err := reader.Put(t.Context(), batch(id, 11, 20, "b")); err == nil {
		t.Error("the reader has written")
	}
	if got, want := lines(t, reader, id, fleet.Range{}), text(batch(id, 1, 10, "a")); got != want {
		t.Errorf("gw2's records are %q, want %q", got, want)
	}
}

// TestKilledNodes kills nodes, one after the other and all at once, and the client too, while
// records are written: at the end each is there, once.
func TestKilledNodes(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	id := fleet.LogID{Router: "gw1", Log: "0123456789abcdef"}
	rounds := 4
	if os.Getenv("SYNTAP_SOAK") != "" {
		rounds = 60
	}
	ctx, stop := context.WithCancel(t.Context())
	written := make(chan uint64)
	go func() { written <- c.write(ctx, t, id) }()
	for round := range rounds {
		<-time.After(rand.N(300 * time.Millisecond)) // a random moment, not a condition
		killed := c.nodes[round%3 : round%3+1]
		if round%4 == 3 {
			killed = c.nodes
		}
		for _, node := range killed {
			node.Kill()
		}
		for _, node := range killed {
			node.Restart()
		}
		c.waitWritable(t)
	}
	stop()
	last := <-written
	got, want := lines(t, c.client(t, "reader"), id, fleet.Range{}), text(batch(id, 1, last, "a"))
	if got != want {
		t.Errorf("%d bytes of records, want %d; only the end differs: %t", len(got), len(want),
			strings.HasPrefix(want, got) || strings.HasPrefix(got, want))
	}
	t.Logf("%d records, %d rounds", last, rounds)
}

// write writes a log until it is stopped, and returns its last record. It keeps no state but the
// log itself: after each error, and now and then, a new client asks how far the stream is.
func (c *cluster) write(ctx context.Context, t *testing.T, id fleet.LogID) (last uint64) {
	client := c.client(t, "gw1")
	for next := uint64(1); ; {
		n := 1 + rand.Uint64N(500)
		err := client.Put(t.Context(), batch(id, next, next+n-1, "a"))
		if err == nil {
			last, next = next+n-1, next+n
			if ctx.Err() != nil {
				return last
			}
			if rand.N(10) > 0 {
				continue
			}
		}
		client.Close()
		client = c.client(t, "gw1")
		for deadline := time.Now().Add(4 * tuntest.Patience); ; {
			runs, err := client.Has(t.Context(), id, fleet.Range{})
			if err == nil {
				next = 1
				if len(runs) > 0 {
					next = runs[len(runs)-1].Last + 1
				}
				break
			}
			if time.Now().After(deadline) {
				t.Errorf("the stream does not answer: %v", err)
				return last
			}
		}
	}
}

// waitWritable waits until the stream takes a message of another log.
func (c *cluster) waitWritable(t *testing.T) {
	t.Helper()
	client := c.client(t, "gw2")
	id := fleet.LogID{Router: "gw2", Log: "0123456789abcdef"}
	var seq uint64
	wait(t, "a leader", func() bool {
		runs, err := client.Has(t.Context(), id, fleet.Range{})
		if err != nil {
			return false
		}
		if len(runs) > 0 {
			seq = runs[0].Last
		}
		return client.Put(t.Context(), batch(id, seq+1, seq+1, "a")) == nil
	})
}
