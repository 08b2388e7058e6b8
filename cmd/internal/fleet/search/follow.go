package search

import (
	"context"
	"errors"
	"fmt"
	"time"

	"syntap/cmd/internal/fleet"
	"syntap/cmd/internal/fleet/victorialogs"
	"syntap/cmd/internal/query"
)

const (
	pollInterval = time.Second
	recent       = 10 * time.Minute // records up to this old are looked for at each poll
	late         = 26 * time.Hour   // and up to this old once in a while
	latePolls    = 60               // polls in a while
	holeTime     = 10 * time.Second // that a number which is not there holds back those behind it
)

// followed is a log that is followed.
type followed struct {
	seen   uint64    // number of the last record that has been handed on, or passed over
	hole   time.Time // since when the record behind it is missing; zero = it is not
	holeAt uint64    // the value of seen then
}

// follower hands new records on.
type follower struct {
	*Reader
	w      *query.Wanted
	wanted *victorialogs.Wanted
	next   func(query.Lines) bool
	logs   map[fleet.LogID]*followed
	polls  int
	failed bool
}

// Follow implements [query.Source].
func (r *Reader) Follow(
	ctx context.Context, w *query.Wanted, read func() error, next func(query.Lines) bool,
) error {
	f := &follower{Reader: r, w: w, next: next, logs: make(map[fleet.LogID]*followed)}
	if enough, err := f.begin(ctx); enough || err != nil {
		return err
	}
	if err := read(); err != nil {
		return err
	}
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		enough, err := f.poll(ctx)
		switch {
		case enough:
			return nil
		case ctx.Err() != nil:
		case err != nil && !f.failed:
			r.notice(fmt.Sprintf("%s: %v; trying again", r.store.URL, err))
		}
		f.failed = err != nil
	}
}

// begin hands on the records that are there, and notes where each log ends.
func (f *follower) begin(ctx context.Context) (enough bool, err error) {
	states, err := asking(f.Reader, func(s *Store) ([]fleet.State, error) { return s.Logs(ctx, f.router) })
	if err != nil {
		return false, err
	}
	for _, s := range states {
		f.logs[s.LogID] = &followed{seen: s.Last}
	}
	wanted, found, err := f.find(ctx, f.w)
	if err != nil {
		return false, err
	}
	f.wanted = wanted
	var there []victorialogs.Found
	for _, log := range found {
		if known := f.logs[log.LogID]; known != nil && log.First <= known.seen {
			log.Last = min(log.Last, known.seen)
			there = append(there, log)
		}
	}
	return f.read(ctx, f.w, wanted, there, f.next)
}

// poll hands new records on.
func (f *follower) poll(ctx context.Context) (enough bool, err error) {
	age := recent
	if f.polls++; f.polls%latePolls == 0 {
		age = late
	}
	latest, err := f.store.Latest(ctx, f.router, time.Now().Add(-age))
	if err != nil {
		return false, err
	}
	var spans []victorialogs.Span
	for _, s := range latest {
		known, err := f.log(ctx, s)
		if err != nil {
			return false, err
		}
		if s.Last > known.seen {
			s.First = known.seen + 1
			spans = append(spans, s)
		}
	}
	for len(spans) > 0 {
		n := min(len(spans), maxSpans)
		if enough, err := f.handOn(ctx, spans[:n]); enough || err != nil {
			return enough, err
		}
		spans = spans[n:]
	}
	return false, nil
}

// log returns the state of a log; a new one is wanted from its beginning on.
func (f *follower) log(ctx context.Context, s victorialogs.Span) (*followed, error) {
	if known := f.logs[s.LogID]; known != nil {
		return known, nil
	}
	states, err := f.store.Logs(ctx, s.Router)
	if err != nil {
		return nil, err
	}
	known := &followed{seen: s.First - min(s.First, 1)}
	for _, state := range states {
		if state.LogID == s.LogID {
			known.seen = state.First - min(state.First, 1)
		}
	}
	if len(f.logs) >= maxFollowed {
		return &followed{seen: s.Last}, nil
	}
	f.logs[s.LogID] = known
	return known, nil
}

// maxFollowed bounds the logs that are followed. At the cap new ones are passed over.
const maxFollowed = 100_000

// handOn hands the records of spans on, as far as none is missing.
func (f *follower) handOn(ctx context.Context, spans []victorialogs.Span) (enough bool, err error) {
	counted, err := f.store.CountSpans(ctx, spans)
	if err != nil {
		return false, err
	}
	var logs []victorialogs.Found
	for _, s := range spans {
		known := f.logs[s.LogID]
		if known == nil {
			continue
		}
		last := s.Last
		if counted[s.LogID].Unique != s.Last-s.First+1 {
			if last, err = f.whole(ctx, known, s); err != nil {
				return false, err
			}
		}
		if last > known.seen {
			logs = append(logs, victorialogs.Found{
				LogID: s.LogID, Stream: s.Stream, First: known.seen + 1, Last: last, Count: last - known.seen,
			})
		}
	}
	m := newMerge(f.store, f.wanted, true, f.next)
	err = m.run(ctx, logs)
	m.tell(f.notice)
	if errors.Is(err, errEnough) {
		return true, nil
	}
	for _, log := range logs {
		if err == nil {
			f.logs[log.LogID].seen = log.Last
		}
	}
	return false, err
}

// whole returns the last number of a span up to which no record is missing, or is waited for any
// more.
func (f *follower) whole(ctx context.Context, known *followed, s victorialogs.Span) (last uint64, err error) {
	runs, err := f.store.Has(ctx, s.LogID, fleet.Range{First: s.First, Last: s.Last})
	if err != nil || len(runs) == 0 {
		return known.seen, err
	}
	last = known.seen
	for _, run := range runs {
		if run.First > last+1 {
			break
		}
		last = run.Last
	}
	switch {
	case last > known.seen, known.hole.IsZero() || known.holeAt != known.seen:
		known.hole, known.holeAt = time.Now(), last
		return last, nil
	case time.Since(known.hole) < f.holeTime:
		return last, nil
	}
	f.notice(fmt.Sprintf("%s: seq %d to %d are missing in the store", s.LogID, s.First, runs[0].First-1))
	known.seen, known.hole = runs[0].First-1, time.Time{}
	return runs[0].Last, nil
}
