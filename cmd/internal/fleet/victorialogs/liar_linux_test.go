package victorialogs

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"syntap/cmd/internal/filter"
	"syntap/cmd/internal/fleet"
	"syntap/cmd/internal/fleet/otlp"
)

// liar returns a client of a store that answers all questions by calling answer.
func liar(t *testing.T, answer http.HandlerFunc) *Client {
	t.Helper()
	s := httptest.NewServer(answer)
	t.Cleanup(s.Close)
	c, err := New(otlp.Options{URL: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// TestEndlessAnswer: each answer that does not end is an error.
func TestEndlessAnswer(t *testing.T) {
	t.Parallel()
	const row = `{"router":"gate","log":"00","seq":"1","n":"2","u":"1","first":"1","last":"2","_msg":"{}"}` + "\n"
	many := bytes.Repeat([]byte(row), 1000)
	c := liar(t, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			_, _ = w.Write(many) // until the client has enough
		}
	})
	id := fleet.LogID{Router: "gate", Log: "00"}
	two := fleet.Range{First: 1, Last: 2}
	spans := []Span{{LogID: id, First: 1, Last: 2}}
	all := &Wanted{Filter: new(filter.Filter)}
	for name, ask := range map[string]func(context.Context) error{
		"has":     func(ctx context.Context) error { _, err := c.Has(ctx, id, two); return err },
		"each":    func(ctx context.Context) error { _, err := c.each(ctx, id, two); return err },
		"logs":    func(ctx context.Context) error { _, err := c.Logs(ctx, ""); return err },
		"find":    func(ctx context.Context) error { _, err := c.Find(ctx, all); return err },
		"latest":  func(ctx context.Context) error { _, err := c.Latest(ctx, "", time.Time{}); return err },
		"heads":   func(ctx context.Context) error { _, err := c.Heads(ctx, ""); return err },
		"numbers": func(ctx context.Context) error { _, err := c.LastHeads(ctx, ""); return err },
		"counts":  func(ctx context.Context) error { _, err := c.CountSpans(ctx, spans); return err },
		"copies":  func(ctx context.Context) error { _, err := c.haveCopies(ctx, all); return err },
		"page": func(ctx context.Context) error {
			return c.Page(ctx, all, spans, 10, func(Row) error { return nil })
		},
		"lines": func(ctx context.Context) error {
			return c.Lines(ctx, id, two, func(uint64, []byte) error { return nil })
		},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		if err := ask(ctx); err == nil || ctx.Err() != nil {
			t.Errorf("%s: error %v, %v; want one at once", name, err, ctx.Err())
		}
		cancel()
	}
}

// TestFarAnswer: a store that says to have records which it was not asked for is asked no more.
func TestFarAnswer(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{
		`{"n":"2","u":"1","first":"1","last":"4611686018427387903"}`,
		`{"n":"2","u":"1","first":"0","last":"9"}`,
		`{"n":"2","u":"1","first":"9","last":"8"}`,
	} {
		asked := 0
		c := liar(t, func(w http.ResponseWriter, _ *http.Request) {
			if asked++; asked > 10 {
				panic(http.ErrAbortHandler)
			}
			_, _ = io.WriteString(w, answer+"\n")
		})
		_, err := c.Has(t.Context(), fleet.LogID{Router: "gate", Log: "00"}, fleet.Range{First: 1, Last: 200_000})
		if err == nil || asked != 1 {
			t.Errorf("%s: error %v, %d questions; want one of each", answer, err, asked)
		}
	}
}

// TestFarRecord: a log with a record of a far number is read by a few questions.
func TestFarRecord(t *testing.T) {
	t.Parallel()
	const far = uint64(9e18)
	asked := 0
	c := liar(t, func(w http.ResponseWriter, r *http.Request) {
		if asked++; asked > 10 {
			panic(http.ErrAbortHandler)
		}
		first, last := uint64(0), uint64(0)
		query := r.FormValue("query")
		if _, after, ok := strings.Cut(query, "seq:range["); !ok {
			t.Errorf("query %s", query)
		} else if _, err := fmt.Sscanf(after, "%d, %d]", &first, &last); err != nil {
			t.Errorf("query %s: %v", query, err)
		}
		for _, seq := range []uint64{1, far} {
			if seq < first || seq > last {
				continue
			}
			if strings.Contains(query, "min(seq)") {
				fmt.Fprintf(w, "{\"n\":\"1\",\"first\":\"%d\"}\n", seq)
			} else {
				fmt.Fprintf(w, "{\"seq\":\"%d\",\"_msg\":\"{}\"}\n", seq)
			}
		}
	})
	var got []uint64
	err := c.Lines(t.Context(), fleet.LogID{Router: "gate", Log: "00"}, fleet.Range{First: 1, Last: far}, func(seq uint64, _ []byte) error {
		got = append(got, seq)
		return nil
	})
	if want := []uint64{1, far}; err != nil || !slices.Equal(got, want) {
		t.Errorf("records %d, %v; want %d", got, err, want)
	}
}
