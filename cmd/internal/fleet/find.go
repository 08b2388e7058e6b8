package fleet

import (
	"context"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"

	"syntap/cmd/internal/follow"
	"syntap/cmd/internal/logfile"
)

// find sets the place from which on the store is to get records, and those behind it that it has
// already. It waits until there is a record and the store answers.
func (s *ship) find(ctx context.Context) error {
	for {
		first, last, err := s.ends(ctx, 0)
		if err != nil {
			return err
		}
		if s.store == nil {
			if err := s.identify(ctx, first, last, nil); err != nil || s.place.Seq <= last {
				s.counters.confirmed.Store(s.place.Seq)
				return err
			}
			if err := s.fork(ctx, last+1); err != errAgain { // ours has been cut
				return err
			}
			continue
		}
		if err := s.answers(ctx); err != nil {
			return err
		}
		logs, err := s.store.Logs(ctx, s.o.Router)
		if err == nil {
			err = s.identify(ctx, first, last, logs)
		}
		if err != nil {
			return err
		}
		at, err := s.differs(ctx, logs, first, last)
		if err != nil {
			return err
		}
		if at == 0 {
			if err := s.rewind(logs, first, last); err != nil {
				return err
			}
			s.counters.confirmed.Store(s.place.Seq)
			ours, err := s.behind(ctx, logs, first, last)
			if err != nil || ours {
				return err
			}
			continue // another has written since: now it differs
		}
		if err := s.fork(ctx, at); err != errAgain {
			return err
		}
	}
}

// ends waits until the log has a record behind one, and returns the numbers of the first and the
// last.
func (s *ship) ends(ctx context.Context, behind uint64) (first, last uint64, err error) {
	for {
		first, last, err = follow.Ends(s.o.Path)
		if err != nil || last > behind && first > 0 {
			return first, last, err
		}
		if err := s.wait(ctx, s.o.Times.Poll); err != nil {
			return 0, 0, err
		}
	}
}

// answers waits until the store answers at once, and then until it has done with the requests that
// it took before: those that it is asked about.
func (s *ship) answers(ctx context.Context) error {
	for {
		began := time.Now()
		_, err := s.store.Has(ctx, LogID{Router: s.o.Router, Log: "0"}, Range{First: 1, Last: 1})
		if err != nil {
			s.failed(err)
		}
		took := time.Since(began)
		s.stall(took)
		if err == nil && took <= s.o.Times.AtOnce {
			return s.wait(ctx, s.o.Times.Settle)
		}
		if err := s.retry(ctx, 0); err != nil {
			return err
		}
	}
}

// identify finds the name of the log: that of its position; without one that of its first record,
// or of the log in the store that goes on in ours.
func (s *ship) identify(ctx context.Context, first, last uint64, logs []State) error {
	oldest, err := s.line(first)
	if err == nil && oldest == nil { // its file was being renamed, or is gone
		if err = s.wait(ctx, s.o.Times.Poll); err == nil {
			err = errAgain
		}
	}
	if err != nil {
		return err
	}
	begun := LogIDOf(oldest)
	if place, ok := s.placeIn(first, begun); ok {
		s.place = place
		s.rename()
		return nil
	}
	s.place = Confirmed{
		URL: s.url, Router: s.o.Router, Log: begun, Origin: begun, Begin: first, Seq: first - 1,
	}
	if first == 1 {
		return nil
	}
	for _, log := range logs {
		if log.Last < first || log.First > last {
			continue
		}
		s.place.Log = log.Log
		same, err := s.same(ctx, max(first, log.First))
		if err != nil {
			return err
		}
		if same {
			s.place.Origin, s.place.Begin = log.Log, log.First
			return nil
		}
	}
	s.place.Log = begun
	return nil
}

// rename has a log that was sent in the name of another router, which this one had before, go on
// under the present name. What the store is proven to have stays there under the former one.
func (s *ship) rename() {
	before := s.place.Router
	s.place.Router = s.o.Router
	if before == "" || before == s.o.Router {
		return
	}
	s.place.Begin = s.place.Seq + 1
	s.o.Logger.WithFields(logrus.Fields{"url": s.url, "seq": s.place.Begin, "before": before, "router": s.o.Router}).
		Warn("the router has another name: its log goes on in the store under that")
	s.keep()
}

// placeIn returns the place of the position, if it is one in the log that begins with a record of
// that number, and of that name.
func (s *ship) placeIn(first uint64, begun string) (place Confirmed, ok bool) {
	place, ok = s.positions.of(s.url)
	return place, ok && (first > 1 || place.Origin == begun)
}

// kept returns the number of the last record that the store has by the position, before the store
// is asked. Of a log that is begun anew beside the position of the one before it has none.
func (s *ship) kept() uint64 {
	first, last, err := follow.Ends(s.o.Path)
	if err != nil || first == 0 {
		return 0
	}
	oldest, err := s.line(first)
	if err != nil {
		return 0
	}
	place, ok := s.placeIn(first, LogIDOf(oldest))
	if !ok {
		return 0
	}
	return min(place.Seq, last)
}

// differs returns the number of the first record that is not ours in the store; 0 = there is none.
func (s *ship) differs(ctx context.Context, logs []State, first, last uint64) (uint64, error) {
	for _, log := range logs {
		if log.LogID != s.id() {
			continue
		}
		low, high := max(first, log.First), min(last, log.Last)
		if low > high {
			continue
		}
		same, err := s.same(ctx, high)
		if err != nil {
			return 0, err
		}
		if same {
			if log.Last > last { // ours has been cut
				return last + 1, nil
			}
			return 0, nil
		}
		for low < high { // the first that differs lies between them
			middle := low + (high-low)/2
			if same, err = s.same(ctx, middle); err != nil {
				return 0, err
			}
			if same {
				low = middle + 1
			} else {
				high = middle
			}
		}
		return low, nil
	}
	return 0, nil
}

// fork has the log go on under another name from the record of that number on, which the store has
// otherwise: the log was rolled back, or two hosts have one name.
func (s *ship) fork(ctx context.Context, at uint64) error {
	if _, _, err := s.ends(ctx, at-1); err != nil {
		return err
	}
	line, err := s.line(at)
	if err == nil && line == nil {
		err = fmt.Errorf("seq %d, which the store has otherwise, is gone", at)
	}
	if err != nil {
		return err
	}
	before := s.place.Log
	s.place.Log, s.place.Begin, s.place.Seq, s.place.Hash = forkID(before, line), at, at-1, ""
	s.keep()
	s.counters.forks.Add(1)
	s.o.Logger.WithFields(logrus.Fields{"url": s.url, "seq": at, "log": s.place.Log, "before": before}).
		Error("the store has another record of this number: the log was rolled back, or another router " +
			"has the same name; it goes on in the store as another log")
	return errAgain
}

// behind asks which records the store has behind the place, and reports whether the last of them is
// ours.
func (s *ship) behind(ctx context.Context, logs []State, first, last uint64) (ours bool, err error) {
	asked := Range{First: s.place.Seq + 1}
	there := min(last, s.stateOf(logs).Last)
	err = follow.Between(s.o.Path, max(s.place.Seq, first), max(s.place.Seq, first, there),
		func(_ uint64, line []byte) error {
			asked = since(asked, line)
			return nil
		})
	if err != nil {
		return false, err
	}
	s.there, err = s.store.Has(ctx, s.id(), asked)
	if err != nil || len(s.there) == 0 {
		return true, err
	}
	end := s.there[len(s.there)-1].Last
	line, err := s.line(end)
	if err != nil || line == nil {
		return false, err
	}
	return s.holds(ctx, since(Range{First: end, Last: end}, line), line)
}

// stateOf returns the state of the log in the store; the zero value if it has none of it.
func (s *ship) stateOf(logs []State) State {
	for _, log := range logs {
		if log.LogID == s.id() {
			return log
		}
	}
	return State{}
}

// since has a range reach from the time of a line, unless it begins before that, to the present.
func since(r Range, line []byte) Range {
	const step = 5 * time.Minute // that the clock may have been set back behind the line
	if _, at, ok := (Fields{}).Append(nil, line); ok {
		if begin := at.Time.Add(-step); r.Begin.IsZero() || begin.Before(r.Begin) {
			r.Begin = begin
		}
	}
	return r
}

// expiry is less than any store keeps records: one that is younger and gone was lost.
const expiry = 24 * time.Hour

// rewind moves the place back where the store has lost records that it had: it has been restored
// from an older copy, or made anew. While "fleet resend" brings it those, it returns errAgain.
func (s *ship) rewind(logs []State, first, last uint64) error {
	s.place.Seq = min(s.place.Seq, last)
	there := max(s.place.Begin-1, s.stateOf(logs).Last)
	if there >= s.place.Seq {
		return nil
	}
	line, err := s.line(s.place.Seq)
	_, r, ok := Fields{}.Append(nil, line)
	if err != nil || !ok || time.Since(r.Time) > expiry {
		return nil
	}
	release, busy, err := logfile.LockFleet(s.o.Path)
	switch {
	case busy:
		return errAgain
	case err == nil:
		defer release()
	} // else the directory takes no files, and "fleet resend" cannot lock either
	s.o.Logger.WithFields(logrus.Fields{"url": s.url, "confirmed": s.place.Seq, "has": there}).
		Error("the store has lost records that it had: they are sent again")
	s.place.Seq, s.place.Hash = max(there, min(first-1, s.place.Seq)), ""
	s.keep()
	return nil
}
