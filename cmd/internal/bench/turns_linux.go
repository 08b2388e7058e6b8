package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// A turn is short enough for the machine to be the same for all of a round, and begins with a while
// in which a load that has been stopped finds its pace.
const (
	turn   = 250 * time.Millisecond
	settle = 50 * time.Millisecond
)

// player is a router that takes turns with others.
type player struct {
	*trial
	receiver *child
}

// takeTurns measures a case with routers that all run at a time, one load after the other, until
// each has had a window's time. A round in which all have figures gives each a result.
func (r *runner) takeTurns(ctx context.Context, c benchCase, group []router) (err error) {
	var players []player
	defer func() {
		for _, p := range players {
			err = errors.Join(err, p.close())
		}
	}()
	for _, router := range group {
		t, err := newTrial(ctx, r.settings, c.place, router)
		players = append(players, player{trial: t})
		if err != nil {
			return err
		}
		p := &players[len(players)-1]
		if p.receiver, err = c.start(t); err != nil {
			return err
		}
		if err := errors.Join(t.wait(t.warmUp()), t.signal(unix.SIGSTOP)); err != nil {
			return err
		}
	}
	var failed error // a turn, or some operations of it
	for range max(1, r.window/turn) {
		found := make(map[string]figures)
		for _, p := range players {
			f, err := p.play(c, min(turn, r.window))
			if f != nil {
				found[p.router.name] = f
			}
			if failed == nil {
				failed = err
			}
		}
		for name, f := range found {
			if len(found) == len(players) {
				r.results.add(name, f)
			}
		}
		slices.Reverse(players) // no router always follows the same
	}
	return failed
}

// play lets the load of a player run for a turn.
func (p player) play(c benchCase, d time.Duration) (figures, error) {
	if err := p.signal(unix.SIGCONT); err != nil {
		return nil, err
	}
	s, err := p.measure(p.receiver, settle, d)
	if err := errors.Join(err, p.signal(unix.SIGSTOP)); err != nil {
		return nil, err
	}
	return c.found(p.trial, s)
}
