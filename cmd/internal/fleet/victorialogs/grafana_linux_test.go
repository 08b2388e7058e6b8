package victorialogs

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"syntap/cmd/internal/fleet"
	"syntap/cmd/internal/fleet/fleettest"
	"syntap/cmd/internal/fleet/otlp"
	"syntap/tun/tuntest"
)

// TestDashboard has a store answer all queries of the dashboard over it. Each finds something.
func TestDashboard(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(configs + "grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr, QueryType string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	store := fleettest.StartVictoriaLogs(t).URL
	c, err := New(otlp.Options{URL: store})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b := &fleet.Batch{LogID: fleet.LogID{Router: "gw1", Log: "0123456789abcdef"}}
	for i, msg := range []string{"handshake", "handshake", "finding", "gap"} {
		r := fleet.Record{
			Seq:  uint64(i + 1),
			Time: time.Now(),
			Line: fmt.Appendf(nil, `{"msg":%q,"seq":%d}`, msg, i+1),
		}
		for m := range fleet.NumMembers {
			text, ok := map[string]string{"msg": msg, "outcome": "refused", "dport": "443"}[m.Key()]
			if !ok {
				text = m.Key() + ".example.com"
			}
			r.Members[m] = []byte(text)
		}
		b.Records = append(b.Records, r)
	}
	for range 2 { // as after an unclear answer
		if err := c.Put(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	tuntest.Wait(t, "the records", func() bool {
		runs, err := c.Has(t.Context(), b.LogID, fleet.Range{})
		return err == nil && len(runs) == 1 && runs[0].Last == 4 && runs[0].Copies == 2
	})
	paths := map[string]string{
		"stats":      "stats_query",
		"statsRange": "stats_query_range",
		"instant":    "query",
	}
	queries := 0
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			queries++
			logsQL := strings.NewReplacer("$router", ".+", "$filter", "*").Replace(target.Expr)
			path := store + "/select/logsql/" + paths[target.QueryType]
			tuntest.Wait(t, panel.Title+": an answer to "+logsQL, func() bool { // not at once
				found := ask(t, path, logsQL)
				return slices.ContainsFunc(
					[]string{`"gw1"`, ".example.com", `"value":[`, `"values":[[`},
					func(part string) bool { return strings.Contains(found, part) })
			})
		}
	}
	if queries < 10 {
		t.Errorf("the dashboard has %d queries", queries)
	}
}

// ask returns the answer to a query of the last hour.
func ask(t *testing.T, path, logsQL string) string {
	t.Helper()
	answer, err := http.PostForm(
		path, url.Values{"query": {logsQL}, "start": {"-1h"}, "end": {"now"}, "step": {"1m"}},
	)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Errorf("%s: %v, status %d: %s", logsQL, err, answer.StatusCode, text)
	}
	return string(text)
}
