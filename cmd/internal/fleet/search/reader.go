package search

import (
	"context"
	"errors"
	"fmt"
	"time"

	"syntap/cmd/internal/fleet"
	"syntap/cmd/internal/fleet/victorialogs"
	"syntap/cmd/internal/hint"
	"syntap/cmd/internal/query"
)

// Store is a store that can be searched.
type Store struct {
	URL string // as users know it
	Engine
}

// Reader reads the records of a fleet. It is for one goroutine.
type Reader struct {
	stores []Store
	router string // "" = all
	notice func(string)
	store  *Store // that has answered; nil = none yet

	holeTime time.Duration
}

// New returns a reader of the first of some stores that answers. It reads the records of one
// router, or with "" those of all. Notice is called with sentences for the user.
func New(stores []Store, router string, notice func(string)) *Reader {
	return &Reader{stores: stores, router: router, notice: notice, holeTime: holeTime}
}

// asking returns the first store to which a question has an answer.
func asking[T any](r *Reader, question func(*Store) (T, error)) (answer T, err error) {
	if r.store != nil {
		answer, err = question(r.store)
		if err != nil {
			err = fmt.Errorf("%s: %w", r.store.URL, err)
		}
		return answer, err
	}
	var errs hint.List
	for i := range r.stores {
		s := &r.stores[i]
		if answer, err = question(s); err == nil {
			for _, err := range errs {
				r.notice(err.Error())
			}
			r.store = s
			if len(r.stores) > 1 {
				r.notice("fleet: " + s.URL)
			}
			return answer, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", s.URL, err))
	}
	return answer, errs
}

// First returns the first store that answers a question for the logs of a router, or of all.
func First(ctx context.Context, stores []Store, router string, notice func(string)) (*Store, error) {
	r := New(stores, router, notice)
	_, err := asking(r, func(s *Store) (bool, error) {
		_, err := s.Latest(ctx, router, time.Now())
		return true, err
	})
	return r.store, err
}

// find returns the logs that have records which are wanted, and the question for them.
func (r *Reader) find(
	ctx context.Context, w *query.Wanted,
) (wanted *victorialogs.Wanted, found []victorialogs.Found, err error) {
	wanted = &victorialogs.Wanted{Router: r.router, Filter: w.Filter, Joined: w.Joined}
	found, err = asking(r, func(s *Store) ([]victorialogs.Found, error) { return s.Find(ctx, wanted) })
	return wanted, found, err
}

// errEnough says that no more lines are wanted.
var errEnough = errors.New("enough")

// Read implements [query.Source].
func (r *Reader) Read(ctx context.Context, w *query.Wanted, next func(query.Lines) bool) error {
	wanted, found, err := r.find(ctx, w)
	if err != nil {
		return err
	}
	_, err = r.read(ctx, w, wanted, found, next)
	return err
}

// read reads the records of logs that have been found.
func (r *Reader) read(
	ctx context.Context, w *query.Wanted, wanted *victorialogs.Wanted, found []victorialogs.Found,
	next func(query.Lines) bool,
) (enough bool, err error) {
	m := newMerge(r.store, wanted, w.Ordered, next)
	for _, group := range groups(found, w.Ordered) {
		if err = m.run(ctx, group); err != nil {
			break
		}
	}
	if err == nil && w.Joined {
		err = r.ends(ctx, m, found)
	}
	m.tell(r.notice)
	if errors.Is(err, errEnough) {
		return true, nil
	}
	return false, err
}

// groups divides logs into those that are read at the same time.
func groups(found []victorialogs.Found, all bool) (groups [][]victorialogs.Found) {
	if all {
		return [][]victorialogs.Found{found}
	}
	for len(found) > 0 {
		n, records := 0, uint64(0)
		for n < len(found) && (n == 0 || n < maxSpans && records+found[n].Count <= maxHeld) {
			records += found[n].Count
			n++
		}
		groups = append(groups, found[:n])
		found = found[n:]
	}
	return groups
}

// ends hands the last record of each log on, where that has not come.
func (r *Reader) ends(ctx context.Context, m *merge, found []victorialogs.Found) error {
	if len(found) == 0 {
		return nil
	}
	since, index := found[0].Time, make(map[fleet.LogID]int, len(found))
	for i, f := range found {
		index[f.LogID] = i
		if f.Time.Before(since) {
			since = f.Time
		}
	}
	all, err := r.store.Latest(ctx, r.router, since)
	if err != nil {
		return err
	}
	var logs []victorialogs.Found
	for _, log := range all {
		i, ok := index[log.LogID]
		if ok && log.Last > found[i].Last {
			logs = append(logs, victorialogs.Found{
				LogID: log.LogID, Stream: found[i].Stream, First: log.Last, Last: log.Last, Count: 1,
			})
		}
	}
	m.wanted = &victorialogs.Wanted{Router: r.router, Filter: &everything}
	return m.run(ctx, logs)
}

// Count implements [query.Source].
func (r *Reader) Count(
	ctx context.Context, w *query.Wanted, count func(values []string, n uint64) error,
) (ok bool, err error) {
	wanted := &victorialogs.Wanted{Router: r.router, Filter: w.Filter}
	return asking(r, func(s *Store) (bool, error) { return s.Count(ctx, wanted, w.Top, count) })
}
