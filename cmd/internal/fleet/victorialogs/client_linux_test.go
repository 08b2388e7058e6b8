package victorialogs

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"syntap/cmd/internal/fleet"
	"syntap/cmd/internal/fleet/fleettest"
	"syntap/cmd/internal/fleet/otlp"
	"syntap/tun/tuntest"
)

var now = time.Now().UTC().Truncate(time.Microsecond)

func client(t *testing.T, url string) *Client {
	t.Helper()
	c, err := New(otlp.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// records returns a batch of records that lie a second from each other.
func records(id fleet.LogID, first, last uint64, line func(seq uint64) string) *fleet.Batch {
	b := &fleet.Batch{LogID: id}
	for seq := first; seq <= last; seq++ {
		r := fleet.Record{Seq: seq, Time: now.Add(time.Duration(seq) * time.Second), Line: []byte(line(seq))}
		r.Members[fleet.Msg], r.Members[fleet.Src] = []byte("handshake"), []byte("192.0.2.1")
		b.Records = append(b.Records, r)
	}
	return b
}

func plain(seq uint64) string { return fmt.Sprintf(`{"seq":%d}`, seq) }

func put(t *testing.T, c *Client, b *fleet.Batch) {
	t.Helper()
	if err := c.Put(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

// has waits until the store has what it has been sent: it is searched with a delay.
func has(t *testing.T, c *Client, id fleet.LogID, r fleet.Range, want ...fleet.Run) {
	t.Helper()
	var got []fleet.Run
	tuntest.Wait(t, fmt.Sprint(want), func() bool {
		var err error
		if got, err = c.Has(t.Context(), id, r); err != nil {
			t.Fatal(err)
		}
		return cmp.Equal(want, got)
	})
}

// The store counts its records, and gives the lines back byte for byte.
func TestStore(t *testing.T) {
	t.Parallel()
	c := client(t, fleettest.StartVictoriaLogs(t).URL)
	one, two := fleet.LogID{Router: "gate-1", Log: "00"}, fleet.LogID{Router: `g"2\`, Log: "01"}
	long := strings.Repeat(`a"\u00e9\\`, 24<<10) // longer than any record
	odd := func(seq uint64) string {
		switch seq {
		case 3:
			return fmt.Sprintf(`{"seq":3,"x":"%s"}`, long)
		case 4:
			return "{\"seq\":4,\"x\":\"tab\\tand \x1b[31m and bücher\"}"
		}
		return plain(seq)
	}
	has(t, c, one, fleet.Range{First: 1})
	put(t, c, records(one, 1, 10, odd))
	put(t, c, records(one, 21, 30, plain))
	put(t, c, records(two, 100, 109, plain))
	head := fleet.Record{Head: 30, Time: now, Line: []byte(`{"time":"x","seq":30,"hash":"00"}`)}
	head.Members[fleet.Msg] = []byte("head")
	put(t, c, &fleet.Batch{LogID: one, Records: []fleet.Record{head}})
	has(t, c, one, fleet.Range{First: 1}, fleet.Run{First: 1, Last: 10, Copies: 1}, fleet.Run{First: 21, Last: 30, Copies: 1})
	has(t, c, one, fleet.Range{First: 5, Last: 8}, fleet.Run{First: 5, Last: 8, Copies: 1})
	has(t, c, one, fleet.Range{First: 11, Last: 20})
	has(t, c, two, fleet.Range{First: 1, Last: math.MaxInt64}, fleet.Run{First: 100, Last: 109, Copies: 1})
	// Times bound a question; those of the records lie in the future.
	has(t, c, one, fleet.Range{First: 1, Begin: now.Add(time.Second), End: now.Add(10 * time.Second)}, fleet.Run{First: 1, Last: 10, Copies: 1})
	has(t, c, one, fleet.Range{First: 1, Begin: now.Add(2 * time.Second), End: now.Add(3 * time.Second)}, fleet.Run{First: 2, Last: 3, Copies: 1})

	// Copies are counted, and come once; others of the same number come too.
	put(t, c, records(one, 5, 6, plain))
	put(t, c, records(one, 6, 6, func(uint64) string { return "another" }))
	has(t, c, one, fleet.Range{First: 1, Last: 10},
		fleet.Run{First: 1, Last: 4, Copies: 1}, fleet.Run{First: 5, Last: 5, Copies: 2},
		fleet.Run{First: 6, Last: 6, Copies: 3}, fleet.Run{First: 7, Last: 10, Copies: 1})
	var want, got []string
	for seq := uint64(1); seq <= 30; seq++ {
		if seq == 6 {
			want = append(want, "6 another")
		}
		if seq <= 10 || seq > 20 {
			want = append(want, fmt.Sprintf("%d %s", seq, odd(seq)))
		}
	}
	err := c.Lines(t.Context(), one, fleet.Range{First: 1}, func(seq uint64, line []byte) error {
		got = append(got, fmt.Sprintf("%d %s", seq, line))
		return nil
	})
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("lines: %v (-want +got):\n%.2000s", err, diff)
	}

	state := []fleet.State{
		{LogID: two, First: 100, Last: 109, Time: now.Add(109 * time.Second)},
		{LogID: one, First: 1, Last: 30, Time: now.Add(30 * time.Second)},
	}
	all, err := c.Logs(t.Context(), "")
	if diff := cmp.Diff(state, all); diff != "" || err != nil {
		t.Errorf("logs: %v (-want +got):\n%s", err, diff)
	}
	of, err := c.Logs(t.Context(), two.Router)
	if diff := cmp.Diff(state[:1], of); diff != "" || err != nil {
		t.Errorf("logs of a router: %v (-want +got):\n%s", err, diff)
	}
	if none, err := c.Logs(t.Context(), "gate"); len(none) > 0 || err != nil {
		t.Errorf("logs of no router: %v, %v", none, err)
	}
}

// More lines than a page come in their order.
func TestPages(t *testing.T) {
	t.Parallel()
	c := client(t, fleettest.StartVictoriaLogs(t).URL)
	id := fleet.LogID{Router: "gate", Log: "00"}
	const n = 2*page + 17
	for first := uint64(1); first <= n; first += 5000 {
		put(t, c, records(id, first, min(n, first+4999), plain))
	}
	has(t, c, id, fleet.Range{First: 1}, fleet.Run{First: 1, Last: n, Copies: 1})
	// Numbers that lie far from each other are counted in parts, each in a bounded memory.
	far := fleet.LogID{Router: "gate", Log: "01"}
	last := records(far, 250_000, 250_001, plain)
	last.Records[1].Seq, last.Records[1].Line = 1<<50, []byte(plain(1<<50))
	put(t, c, last)
	put(t, c, records(far, 1, 10, plain))
	has(t, c, far, fleet.Range{First: 2}, fleet.Run{First: 2, Last: 10, Copies: 1},
		fleet.Run{First: 250_000, Last: 250_000, Copies: 1}, fleet.Run{First: 1 << 50, Last: 1 << 50, Copies: 1})
	next := uint64(1)
	err := c.Lines(t.Context(), id, fleet.Range{First: 1}, func(seq uint64, line []byte) error {
		if seq != next || string(line) != plain(seq) {
			return fmt.Errorf("seq %d, line %s, want %d", seq, line, next)
		}
		next++
		return nil
	})
	if err != nil || next != n+1 {
		t.Errorf("lines: %v, %d of them, want %d", err, next-1, n)
	}
	enough := errors.New("enough")
	if err := c.Lines(t.Context(), id, fleet.Range{First: 7, Last: 9}, func(uint64, []byte) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("error %v, want that of the function", err)
	}
}

// Records that VictoriaLogs does not keep are found missing, though it says 200.
func TestOutsideRetention(t *testing.T) {
	t.Parallel()
	c := client(t, fleettest.StartVictoriaLogs(t, "-retentionPeriod=7d").URL)
	id := fleet.LogID{Router: "gate", Log: "00"}
	b := records(id, 1, 3, plain)
	b.Records[1].Time = now.Add(-30 * 24 * time.Hour)
	put(t, c, b)
	has(t, c, id, fleet.Range{First: 1}, fleet.Run{First: 1, Last: 1, Copies: 1}, fleet.Run{First: 3, Last: 3, Copies: 1})
}

// A request to a server that is not there, or hangs, ends.
func TestNoServer(t *testing.T) {
	t.Parallel()
	v := fleettest.StartVictoriaLogs(t)
	c := client(t, v.URL)
	c.Timeout = 100 * time.Millisecond
	id := fleet.LogID{Router: "gate", Log: "00"}
	v.Signal(stop)
	if err := c.Put(t.Context(), records(id, 1, 3, plain)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Put to one that hangs: %v", err)
	}
	if _, err := c.Has(t.Context(), id, fleet.Range{First: 1}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Has of one that hangs: %v", err)
	}
	v.Signal(resume)
	v.Kill()
	if err := c.Put(t.Context(), records(id, 1, 3, plain)); err == nil {
		t.Error("Put to none succeeds")
	}
	if _, err := c.Logs(t.Context(), ""); err == nil {
		t.Error("Logs of none succeeds")
	}
}
