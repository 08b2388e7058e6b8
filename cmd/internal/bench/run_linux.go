package main

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	noted := make(map[string]bool)
	for repetition := range r.repetitions {
		for _, c := range r.cases {
			for _, router := range r.routers {
				if !c.applies(router) {
					continue
				}
				p.next(router.name, c.name, repetition+1, r.repetitions)
				found, err := r.try(ctx, c, router)
				if ctx.Err() != nil {
					return errors.New("interrupted")
				}
				r.results.add(router.name, found)
				if err == nil {
					continue
				}
				note := fmt.Sprintf("%s, %s: %v", router.name, c.name, err)
				fmt.Fprintln(r.progress, "bench:", note)
				if key := router.name + c.name; !noted[key] {
					noted[key] = true
					r.notes = append(r.notes, note)
				}
			}
		}
	}
	return nil
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

// try measures a case with a router. There may be figures and an error.
func (r *runner) try(ctx context.Context, c benchCase, router router) (found figures, err error) {
	t, err := newTrial(ctx, r.settings, c.place, router)
	defer func() { err = errors.Join(err, t.close()) }()
	if err != nil {
		return nil, err
	}
	return c.measure(t)
}
