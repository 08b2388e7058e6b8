package victorialogs

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"syntap/cmd/internal/filter"
	"syntap/cmd/internal/fleet"
	"syntap/cmd/internal/fleet/otlp"
)

// TestCutAnswer: an answer that ends with its connection, at any byte, is a failure, and the rows
// before its end are those of the store: none is half a record.
func TestCutAnswer(t *testing.T) {
	t.Parallel()
	const answer = `{"router":"gate","log":"00","seq":"1","_msg":"{\"seq\":1}"}` + "\n" +
		`{"_msg":"{\"seq\":2}","seq":"2","log":"00","router":"gate"}` + "\n"
	var end atomic.Int64 // of the answer
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/stream+json")
		fmt.Fprint(w, answer[:end.Load()])
		_ = http.NewResponseController(w).Flush() // if it fails, so does the request
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(s.Close)
	c, err := New(otlp.Options{URL: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	id := fleet.LogID{Router: "gate", Log: "00"}
	for size := range len(answer) + 1 {
		end.Store(int64(size))
		seq := uint64(0)
		check := func(got uint64, line []byte) error {
			if seq++; got != seq || string(line) != plain(seq) {
				t.Errorf("cut at %d: record %d %q", size, got, line)
			}
			return nil
		}
		for name, ask := range map[string]func(context.Context) error{
			"lines": func(ctx context.Context) error {
				return c.Lines(ctx, id, fleet.Range{First: 1, Last: 2}, check)
			},
			"page": func(ctx context.Context) error {
				return c.Page(ctx, &Wanted{Filter: new(filter.Filter)}, []Span{{LogID: id, First: 1, Last: 2}}, 10,
					func(r Row) error { return check(r.Seq, r.Line) })
			},
		} {
			seq = 0
			if err := ask(t.Context()); err == nil {
				t.Errorf("%s cut at %d: no error, %d records", name, size, seq)
			}
		}
	}
}
