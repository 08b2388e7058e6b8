package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// runner has the routers take turns at the cases.
type runner struct {
	settings
	routers     []router
	cases       []benchCase
	repetitions int
	progress    io.Writer

	results results
	notes   []string // the failures, each once
}

// run measures everything. A failure of a router is a note; an interruption is an error.
func (r *runner) run(ctx context.Context) error {
	r.results = make(results)
	p := newProgress(r.progress, r.trials(), r.window+r.warmUp())
	for repetition := range r.repetitions {
		for _, c := range r.cases {
			for _, group := range groups(r.routers, c) {
				for _, router := range group {
					p.next(router.name, c.name, repetition+1, r.repetitions)
				}
				err := r.measure(ctx, c, group)
				if ctx.Err() != nil {
					return errors.New("interrupted")
				}
				if err != nil {
					r.note(strings.Join(names(group), " and ")+", "+c.name+": ", err)
				}
			}
		}
	}
	return nil
}

// note tells of a failure, and keeps the first of each case.
func (r *runner) note(of string, err error) {
	note := of + err.Error()
	fmt.Fprintln(r.progress, "bench:", note)
	if !slices.ContainsFunc(r.notes, func(n string) bool { return strings.HasPrefix(n, of) }) {
		r.notes = append(r.notes, note)
	}
}

// groups returns the routers that a case is measured with: those that take turns together, which
// are a syntap and its base, and the others alone.
func groups(routers []router, c benchCase) (all [][]router) {
	routers = slices.DeleteFunc(slices.Clone(routers), func(r router) bool { return !c.applies(r) })
	for _, r := range routers {
		last := len(all) - 1
		if last >= 0 && c.start != nil && baseOf(all[last][0].name) == r.name {
			all[last] = append(all[last], r)
			continue
		}
		all = append(all, []router{r})
	}
	return all
}

// trials returns how many there are in a run.
func (r *runner) trials() (n int) {
	for _, c := range r.cases {
		for _, router := range r.routers {
			if c.applies(router) {
				n += r.repetitions
			}
		}
	}
	return n
}

// measure measures a case with a router, or with several whose loads take turns. There may be
// results and an error.
func (r *runner) measure(ctx context.Context, c benchCase, group []router) error {
	if len(group) > 1 {
		return r.takeTurns(ctx, c, group)
	}
	found, err := r.try(ctx, c, group[0])
	if ctx.Err() == nil {
		r.results.add(group[0].name, found)
	}
	return err
}

// try measures a case with a router. There may be figures and an error.
func (r *runner) try(ctx context.Context, c benchCase, router router) (found figures, err error) {
	t, err := newTrial(ctx, r.settings, c.place, router)
	defer func() { err = errors.Join(err, t.close()) }()
	if err != nil {
		return nil, err
	}
	if c.measure != nil {
		return c.measure(t)
	}
	receiver, err := c.start(t)
	if err != nil {
		return nil, err
	}
	s, err := t.measure(receiver, t.warmUp(), t.window)
	if err != nil {
		return nil, err
	}
	return c.found(t, s)
}
