package search

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"syntap/cmd/internal/filter"
	"syntap/cmd/internal/fleet/fleettest"
	"syntap/cmd/internal/fleet/otlp"
	"syntap/cmd/internal/fleet/routerlog"
	"syntap/cmd/internal/fleet/victorialogs"
	"syntap/cmd/internal/query"
	"syntap/tun/tuntest"
)

// startStore starts a store that takes records of all times.
func startStore(tb testing.TB) Store {
	tb.Helper()
	url := fleettest.StartVictoriaLogs(tb).URL
	client, err := victorialogs.New(otlp.Options{URL: url})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = client.Close() })
	return Store{URL: url, Engine: client}
}

// waitFor waits until a store shows as many records, each as often as it is there.
func waitFor(tb testing.TB, s Store, records int) {
	tb.Helper()
	tuntest.Wait(tb, fmt.Sprintf("%d records", records), func() bool {
		found, err := s.Find(tb.Context(), &victorialogs.Wanted{Filter: new(filter.Filter)})
		if err != nil {
			tb.Fatal(err)
		}
		n := 0
		for _, log := range found {
			n += int(log.Count)
		}
		return n == records
	})
}

func parse(tb testing.TB, text string) filter.Filter {
	tb.Helper()
	f, err := filter.Parse(text, routerlog.Start)
	if err != nil {
		tb.Fatal(err)
	}
	return *f
}

// searched returns the output of a query for a fleet.
func searched(tb testing.TB, s Store, q query.Query, router string) string {
	tb.Helper()
	var out bytes.Buffer
	reader := New([]Store{s}, router, func(text string) { tb.Error("notice: ", text) })
	if err := query.Search(tb.Context(), q, reader, &out); err != nil {
		tb.Fatal(err)
	}
	return out.String()
}

// filed returns the output of a query for files.
func filed(tb testing.TB, q query.Query, files ...string) string {
	tb.Helper()
	var out bytes.Buffer
	if err := query.Run(q, files, &out); err != nil {
		tb.Fatal(err)
	}
	return out.String()
}

func sorted(text string) string {
	return strings.Join(slices.Sorted(strings.SplitAfterSeq(text, "\n")), "")
}

// starts returns the first column of CSV.
func starts(text string) (all []string) {
	for line := range strings.Lines(text) {
		start, _, _ := strings.Cut(line, ",")
		all = append(all, start)
	}
	return all[1:]
}

func firstDifference(got, want string) string {
	g, w := strings.SplitAfter(got, "\n"), strings.SplitAfter(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("line %d of %d (want %d)\ngot  %.300q\nwant %.300q", i+1, len(g), len(w), g[i], w[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(g), len(w))
}

// insert writes a record as any client of a store can.
func insert(t *testing.T, s Store, record string) {
	t.Helper()
	url := s.URL + "/insert/jsonline?_stream_fields=router,log"
	answer, err := http.Post(url, "application/stream+json", strings.NewReader(record))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Fatal(answer.Status)
	}
}
