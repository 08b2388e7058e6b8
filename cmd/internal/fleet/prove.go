package fleet

import (
	"bytes"
	"context"
	"slices"
	"time"

	"syntap/cmd/internal/follow"
)

// provedAtOnce is how many records a store is asked to count.
const provedAtOnce = 100_000

// prove asks the store whether it has the records that it was sent some time ago, sends those again
// that it has not, and moves the place up to the last of which it has all.
func (s *ship) prove(ctx context.Context) error {
	now, t := time.Now(), s.o.Times
	if now.Sub(s.proof) < t.Proof/3 {
		return nil
	}
	if s.store == nil {
		s.proof = now
		s.confirm()
		return nil
	}
	due, more := s.window.due(now, func(p *span) time.Duration {
		return t.Proof + min(s.stalled-p.stalled, 2*t.Proof) // it ages only while the store works
	}, provedAtOnce)
	if len(due) == 0 {
		return nil
	}
	asked := span{first: due[0].first, last: due[len(due)-1].last}
	for i := range due {
		asked.extend(due[i].begin)
		asked.extend(due[i].end)
	}
	runs, err := s.store.Has(ctx, s.id(), Range{
		First: asked.first, Last: asked.last, Begin: asked.begin, End: asked.end,
	})
	s.stall(time.Since(now))
	if err != nil {
		s.failed(err)
		return errAgain
	}
	s.works()
	if !more {
		s.proof = now
	}
	if err := s.twice(ctx, runs); err != nil {
		return err
	}
	var again []Run
	for i := range due {
		again = append(again, s.judge(&due[i], runs, now)...)
	}
	if len(again) > 0 {
		if err := s.resend(ctx, again); err != nil {
			return err
		}
	}
	s.confirm()
	return nil
}

// judge proves a span by the records that the store has, or returns those that it has not.
func (s *ship) judge(p *span, runs []Run, now time.Time) []Run {
	gaps := missing(runs, p.first, p.last)
	if len(s.givenUp) > 0 {
		var rest []Run
		for _, g := range gaps {
			rest = append(rest, missing(s.givenUp, g.First, g.Last)...)
		}
		gaps = rest
	}
	switch {
	case p.proven:
		return nil
	case len(gaps) == 0:
		p.proven = true
		return nil
	case p.rounds >= maxRounds:
		s.giveUp(gaps, nil)
		p.proven = true
		return nil
	}
	p.rounds++
	p.sent, p.stalled = now, s.stalled
	return gaps
}

// twice counts the records that the store has more than once, and looks whether another log has
// written one of them.
func (s *ship) twice(ctx context.Context, runs []Run) error {
	compared := false
	for _, r := range runs {
		if r.Copies < 2 {
			continue
		}
		s.counters.duplicates.Add((r.Last - r.First + 1) * uint64(r.Copies-1))
		if compared {
			continue
		}
		compared = true
		same, err := s.same(ctx, r.First)
		if err != nil {
			return err
		}
		if !same {
			return s.fork(ctx, r.First)
		}
	}
	return nil
}

// confirm moves the place.
func (s *ship) confirm() {
	p, ok := s.window.confirm()
	if ok {
		s.place.Seq, s.place.Hash = p.last, p.hash
		s.givenUp = slices.DeleteFunc(s.givenUp, func(r Run) bool { return r.Last <= p.last })
		s.keep()
	}
	s.noteOldest()
}

// keep writes the place to its file.
func (s *ship) keep() {
	err := s.positions.put(s.place)
	if err != nil && !s.unkept {
		s.o.Logger.WithError(err).Error("the position of the log in the fleet cannot be written: " +
			"the stores are asked for it after a restart")
	}
	s.unkept = err != nil
	s.counters.confirmed.Store(s.place.Seq)
}

// same reports whether the store's record of that number, or each of several, is ours.
func (s *ship) same(ctx context.Context, seq uint64) (same bool, err error) {
	ours, err := s.line(seq)
	if err != nil || ours == nil {
		return true, err // it cannot be told
	}
	return s.holds(ctx, Range{First: seq, Last: seq}, ours)
}

// holds reports whether the store's record of a range, or each of several, is that of a line.
func (s *ship) holds(ctx context.Context, r Range, ours []byte) (same bool, err error) {
	same = true
	err = s.store.Lines(ctx, s.id(), r, func(_ uint64, line []byte) error {
		same = same && !contradicts(ours, line)
		return nil
	})
	return same, err
}

// line returns a line of the log; nil if it is gone.
func (s *ship) line(seq uint64) (found []byte, err error) {
	err = follow.Between(s.o.Path, seq, seq, func(_ uint64, line []byte) error {
		found = bytes.Clone(line)
		return nil
	})
	return found, err
}
