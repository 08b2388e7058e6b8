package query

import (
	"bufio"
	"bytes"
	"context"
	"io"

	"syntap/cmd/internal/filter"
)

// Source has the records of several logs, each once.
type Source interface {
	// Read hands on whole lines, those of a log in the order of their numbers, until next says that
	// it is enough. Records that do not match may be left out; Lines may be kept.
	Read(ctx context.Context, w *Wanted, next func(Lines) bool) error

	// Follow does the same, and then hands on new records, until ctx ends. Read is called once
	// the records are handed on that were there before.
	Follow(ctx context.Context, w *Wanted, read func() error, next func(Lines) bool) error

	// Count counts the records by which connections begin by their values of w.Top, and calls
	// count with each set of values. ok is false where it cannot do without reading them.
	Count(ctx context.Context, w *Wanted, count func(values []string, n uint64) error) (ok bool, err error)
}

// Wanted is the records that a query asks a source for.
type Wanted struct {
	Filter  *filter.Filter
	Joined  bool     // the records of a connection belong together
	Ordered bool     // the records of different logs come by time, else log by log
	Top     []string // keys of the filter, to count by
}

// Lines are whole lines.
type Lines struct {
	Text        []byte
	Router, Log string // that they are of; "" = of several, where records are not joined
}

// logsOpen is how many times the bounds of a log hold for a source: it has the connections of
// several routers, of which few are at their limits.
const logsOpen = 8

// wanted returns the records that the query asks a source for.
func (q *Query) wanted() *Wanted {
	return &Wanted{
		Filter: &q.Filter, Joined: q.joins(), Top: q.Top,
		Ordered: !q.joins() || q.Format.joins() && q.Top == nil && q.NewSince.IsZero(),
	}
}

// Search is [Run] for a source.
func Search(ctx context.Context, q Query, source Source, w io.Writer) error {
	if counted, err := countAt(ctx, &q, source, w); counted || err != nil {
		return err
	}
	s := newSourceSearch(&q, w)
	s.run(func(_ memory, next func(lineRun) bool) error {
		return source.Read(ctx, q.wanted(), handOn(next))
	})
	s.finish()
	return s.err()
}

// countAt has a source count, where it can.
func countAt(ctx context.Context, q *Query, source Source, w io.Writer) (ok bool, err error) {
	if q.Top == nil || q.ByBytes || q.Only != nil || !q.NewSince.IsZero() {
		return false, nil
	}
	c := newCounts(q)
	ok, err = source.Count(ctx, q.wanted(), func(values []string, n uint64) error {
		c.addValues(values, n)
		return nil
	})
	if !ok || err != nil {
		return ok, err
	}
	return true, c.print(w)
}

func newSourceSearch(q *Query, w io.Writer) *search {
	q.hosts = true
	s := newSearch(q, nil, w)
	if o, ok := s.output.(*joined); ok {
		o.scale = logsOpen
	}
	return s
}

// handOn returns a function that hands the lines of a source on.
func handOn(next func(lineRun) bool) func(Lines) bool {
	first := 1
	return func(l Lines) bool {
		run := lineRun{lines: l.Text, file: "store", log: logName{l.Router, l.Log}, first: first}
		first += bytes.Count(l.Text, []byte("\n"))
		return next(run)
	}
}

// FollowSource is [Follow] for a source.
func FollowSource(ctx context.Context, q Query, source Source, w io.Writer) error {
	out := bufio.NewWriterSize(w, 1<<16)
	s := newSourceSearch(&q, out)
	worker := newWorker(&q)
	var failed error
	print := func(run lineRun) bool {
		r := worker.search(run)
		r.gaps.tell(&q)
		s.tally.take(run.file, &result{bad: r.bad, old: r.old})
		if failed = s.output.take(&run, &r); failed == nil {
			failed = out.Flush()
		}
		return failed == nil
	}
	began := func() error {
		if err := s.follow(); err != nil {
			return err
		}
		return out.Flush()
	}
	err := source.Follow(ctx, q.wanted(), began, handOn(print))
	if failed != nil {
		return failed
	}
	if err != nil {
		return err
	}
	return s.err()
}
