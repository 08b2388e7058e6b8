package search

import (
	"fmt"
	"os"
	"testing"
	"time"

	"syntap/cmd/internal/filter"
	"syntap/cmd/internal/fleet/routerlog"
	"syntap/cmd/internal/format"
	"syntap/cmd/internal/query"
)

// TestSpeed tells how long questions to two million records take: the records of a day, of four
// routers.
func TestSpeed(t *testing.T) {
	if os.Getenv("SYNTAP_SOAK") == "" {
		t.Skip("SYNTAP_SOAK is not set")
	}
	s := startStore(t)
	const routers, each = 4, 500_000
	pace := 24 * time.Hour / each
	var end time.Time
	for i := range routers {
		end = routerlog.Stream(t, s.Engine, fmt.Sprintf("gate%d", i), each, routerlog.Start, pace)
	}
	waitFor(t, s, routers*each)
	hour := filter.Filter{Since: end.Add(-time.Hour)}
	source := parse(t, "src:192.0.2.3")
	source.And(&hour)
	for _, asked := range []struct {
		name string
		q    query.Query
	}{
		{"one source in the last hour", query.Query{Format: query.Line, Filter: source}},
		{"the last hour", query.Query{Format: query.JSON, Filter: hour}},
		{"refused of a prefix", query.Query{Format: query.Line, Filter: parse(t, "refused dst:198.51.100.0/30")}},
		{"top destinations", query.Query{Format: query.Line, Top: []string{"dst"}}},
		{"top destinations of the last hour", query.Query{Format: query.Line, Filter: hour, Top: []string{"dst"}}},
		{"top outcomes, which the store cannot count", query.Query{Format: query.Line, Top: []string{"outcome"}}},
		{"all records", query.Query{Format: query.JSON}},
	} {
		began := time.Now()
		text := searched(t, s, asked.q, "")
		t.Logf("%s: %v, %d bytes", asked.name, time.Since(began).Round(time.Millisecond), len(text))
	}
	duplicates(t, s)
}

// duplicates asks for top destinations when some records are there twice, also so that they are
// counted here.
func duplicates(t *testing.T, s Store) {
	t.Helper()
	l := routerlog.New("twice", 1000, 1, routerlog.Start, nil)
	l.Put(t, s.Engine, l.Lines)
	l.Put(t, s.Engine, l.Lines)
	waitFor(t, s, 4*500_000+2000)
	q := query.Query{Format: query.Line, Top: []string{"dst"}}
	began := time.Now()
	got := searched(t, s, q, "")
	t.Logf("top destinations with duplicates: %v", time.Since(began).Round(time.Millisecond))
	began = time.Now()
	q.Only = func(*format.Connection) bool { return true }
	if want := searched(t, s, q, ""); got != want {
		t.Errorf("with duplicates: %s", firstDifference(got, want))
	}
	t.Logf("top destinations, counted here: %v", time.Since(began).Round(time.Millisecond))
}
