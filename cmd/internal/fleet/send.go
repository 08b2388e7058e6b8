package fleet

import (
	"cmp"
	"context"
	"slices"
	"time"

	"syntap/cmd/internal/follow"
)

// send brings the batch to the store.
func (s *ship) send(ctx context.Context) error {
	b := &s.batch
	for i := range b.Records {
		if b.Records[i].Seq <= s.sentTo {
			s.counters.unclear.Add(1)
		}
	}
	s.sentTo = max(s.sentTo, b.span.last)
	if err := s.put(ctx, b.Records); err != nil {
		return err
	}
	s.counters.records.Add(uint64(len(b.Records)))
	b.span.hash = hashOf(b.line)
	b.span.sent, b.span.stalled = time.Now(), s.stalled
	b.span.proven = s.store == nil // there is no better proof
	s.window.add(b.span)
	b.reset()
	s.noteOldest()
	return nil
}

// lacking returns the records that the store has not, after an answer that may have kept a part.
func (s *ship) lacking(ctx context.Context, records []Record) ([]Record, error) {
	if err := s.wait(ctx, s.o.Times.Settle); err != nil {
		return nil, err
	}
	first, last := records[0].Seq, records[len(records)-1].Seq
	var times span
	for i := range records {
		times.extend(records[i].Time)
	}
	asked := Range{First: first, Last: last, Begin: times.begin, End: times.end}
	runs, err := s.store.Has(ctx, s.id(), asked)
	if err != nil {
		s.failed(err)
		return nil, errAgain
	}
	var lacks []Record
	for _, gap := range missing(runs, first, last) {
		for _, r := range records {
			if r.Seq >= gap.First && r.Seq <= gap.Last {
				lacks = append(lacks, r)
			}
		}
	}
	return lacks, nil
}

// resend sends records that the store had taken and has not.
func (s *ship) resend(ctx context.Context, runs []Run) error {
	b := &s.again
	b.reset()
	flush := func() error {
		s.counters.forgotten.Add(uint64(len(b.Records)))
		err := s.put(ctx, b.Records)
		b.reset()
		return err
	}
	first, last := runs[0].First, runs[len(runs)-1].Last
	err := follow.Between(s.o.Path, first, last, func(seq uint64, line []byte) error {
		for len(runs) > 0 && runs[0].Last < seq {
			runs = runs[1:]
		}
		if len(runs) == 0 || seq < runs[0].First {
			return nil
		}
		text, r, ok := s.o.Fields.Append(b.text, line)
		if !ok {
			return nil
		}
		b.text, b.Records = text, append(b.Records, r)
		if len(b.text) < s.limit {
			return nil
		}
		return flush()
	})
	if err != nil {
		return err
	}
	return flush()
}

// stall notes how long a request has taken: meanwhile the store may have done nothing at all.
func (s *ship) stall(took time.Duration) {
	if took > s.o.Times.AtOnce {
		s.stalled += took
	}
}

// retry waits before the next try: for as long as the store says, or longer each time.
func (s *ship) retry(ctx context.Context, after time.Duration) error {
	most := s.o.Times.MostRetry
	s.backoff = min(max(2*s.backoff, s.o.Times.Retry), most)
	return s.wait(ctx, min(max(after, s.backoff), max(most, time.Minute)))
}

func (s *ship) wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *ship) id() LogID { return LogID{Router: s.o.Router, Log: s.place.Log} }

// giveUp is for records that the store will not keep. err says why; nil = it has not said.
func (s *ship) giveUp(runs []Run, err error) {
	s.givenUp = append(s.givenUp, runs...)
	slices.SortFunc(s.givenUp, func(a, b Run) int { return cmp.Compare(a.First, b.First) })
	n := count(runs)
	s.counters.refused.Add(n)
	s.say.refused(n, runs[0].First, runs[len(runs)-1].Last, err)
}

// runsOf returns the numbers of records.
func runsOf(records []Record) (runs []Run) {
	for i := range records {
		seq := records[i].Seq
		if last := len(runs) - 1; last >= 0 && runs[last].Last+1 == seq {
			runs[last].Last = seq
		} else {
			runs = append(runs, Run{First: seq, Last: seq, Copies: 1})
		}
	}
	return runs
}

// noteOldest has others know how far behind the store is.
func (s *ship) noteOldest() {
	var oldest time.Time
	if len(s.window) > 0 {
		oldest = s.window[0].begin
	} else {
		oldest = s.batch.span.begin
	}
	if oldest.IsZero() {
		s.counters.oldest.Store(0)
	} else {
		s.counters.oldest.Store(oldest.UnixMicro())
	}
}
