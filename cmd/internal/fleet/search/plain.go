package search

import (
	"context"
	"errors"
	"time"

	"syntap/cmd/internal/fleet"
	"syntap/cmd/internal/fleet/victorialogs"
)

// Engine is a store that can be searched.
type Engine interface {
	fleet.Store

	// Find returns the logs that have records which may match, ordered by router and log.
	Find(ctx context.Context, w *victorialogs.Wanted) ([]victorialogs.Found, error)

	// Page calls f with records of spans that may match, of each span the first ones, limit at
	// most.
	Page(ctx context.Context, w *victorialogs.Wanted, spans []victorialogs.Span, limit int,
		f func(victorialogs.Row) error) error

	// Count counts the records by which connections begin; ok is false where it cannot.
	Count(ctx context.Context, w *victorialogs.Wanted, keys []string,
		f func(values []string, n uint64) error) (ok bool, err error)

	// CountSpans counts the records of spans, Singles reads the first one of each.
	CountSpans(ctx context.Context, spans []victorialogs.Span) (map[fleet.LogID]victorialogs.Counted, error)
	Singles(ctx context.Context, spans []victorialogs.Span, f func(victorialogs.Row) error) error

	// Latest returns the logs that may have records since a time.
	Latest(ctx context.Context, router string, since time.Time) ([]victorialogs.Span, error)

	// Heads returns the last heads of logs that routers have told, LastHeads how far they go.
	Heads(ctx context.Context, router string) ([]victorialogs.Head, error)
	LastHeads(ctx context.Context, router string) ([]victorialogs.Row, error)
}

// Plain is a store that knows numbers alone: all of its records are read, and judged here.
type Plain struct{ fleet.Store }

// timed is a store that knows the times of its records roughly.
type timed interface {
	// FirstSince returns a number of a log before which no record is of a time or later; ok is
	// false where all are older.
	FirstSince(ctx context.Context, id fleet.LogID, at time.Time) (first uint64, ok bool, err error)
}

// Find implements [Engine], as do those below.
func (p Plain) Find(ctx context.Context, w *victorialogs.Wanted) (all []victorialogs.Found, err error) {
	logs, err := p.Logs(ctx, w.Router)
	if err != nil {
		return nil, err
	}
	store, isTimed := p.Store.(timed)
	for _, s := range logs {
		if since := w.Filter.Since; isTimed && !since.IsZero() {
			first, ok, err := store.FirstSince(ctx, s.LogID, since)
			if err != nil {
				return nil, err
			}
			if !ok {
				continue
			}
			s.First = max(s.First, first)
		}
		n := s.Last - s.First + 1
		all = append(all, victorialogs.Found{
			LogID: s.LogID, First: s.First, Last: s.Last, Count: n, Time: s.Time,
		})
	}
	return all, err
}

// errFull says that a page is.
var errFull = errors.New("full")

// Page implements [Engine].
func (p Plain) Page(
	ctx context.Context, _ *victorialogs.Wanted, spans []victorialogs.Span, limit int,
	f func(victorialogs.Row) error,
) error {
	for _, s := range spans {
		n := 0
		r := fleet.Range{First: s.First, Last: s.Last}
		err := p.Lines(ctx, s.LogID, r, func(seq uint64, line []byte) error {
			if n == limit {
				return errFull
			}
			n++
			return f(victorialogs.Row{LogID: s.LogID, Seq: seq, Line: append([]byte(nil), line...)})
		})
		if err != nil && !errors.Is(err, errFull) {
			return err
		}
	}
	return nil
}

// Count implements [Engine].
func (p Plain) Count(
	context.Context, *victorialogs.Wanted, []string, func([]string, uint64) error,
) (bool, error) {
	return false, nil
}

// CountSpans implements [Engine].
func (p Plain) CountSpans(
	ctx context.Context, spans []victorialogs.Span,
) (map[fleet.LogID]victorialogs.Counted, error) {
	all := make(map[fleet.LogID]victorialogs.Counted, len(spans))
	for _, s := range spans {
		runs, err := p.Has(ctx, s.LogID, fleet.Range{First: s.First, Last: s.Last})
		if err != nil {
			return nil, err
		}
		var c victorialogs.Counted
		for _, run := range runs {
			n := run.Last - run.First + 1
			c.Unique += n
			c.Count += n * uint64(run.Copies)
		}
		all[s.LogID] = c
	}
	return all, nil
}

// Singles implements [Engine].
func (p Plain) Singles(ctx context.Context, spans []victorialogs.Span, f func(victorialogs.Row) error) error {
	return p.Page(ctx, nil, spans, 1, f)
}

// Latest implements [Engine].
func (p Plain) Latest(ctx context.Context, router string, _ time.Time) (all []victorialogs.Span, err error) {
	logs, err := p.Logs(ctx, router)
	for _, s := range logs {
		all = append(all, victorialogs.Span{LogID: s.LogID, First: s.First, Last: s.Last})
	}
	return all, err
}

// Heads implements [Engine]: the store has none.
func (p Plain) Heads(context.Context, string) ([]victorialogs.Head, error) { return nil, nil }

// LastHeads implements [Engine].
func (p Plain) LastHeads(context.Context, string) ([]victorialogs.Row, error) { return nil, nil }
