package fleet

import (
	"context"
	"errors"
	"time"
)

// maxRounds is how often a store is sent a record that it does not keep.
const maxRounds = 3

// maxFruitless is how many requests in a row a store may refuse before runs of records are refused
// as a whole: then it is not one record that it does not take.
const maxFruitless = 32

// put has the store take records: until it does, or has refused them for good. After an unclear
// answer of a store that can be asked it returns errAgain.
func (s *ship) put(ctx context.Context, records []Record) error {
	lacking, refused, err := s.try(ctx, records)
	for rounds := 1; refused != nil && !refused.TooLarge && s.store != nil && rounds < maxRounds; rounds++ {
		lacking, refused, err = s.try(ctx, lacking)
	}
	if err != nil || refused == nil {
		return err
	}
	var h hunt
	return s.hunt(ctx, &h, lacking, refused)
}

// hunt looks for the records of a batch that a store refuses.
type hunt struct {
	fruitless int // requests in a row that were refused
}

// hunt sends records that were refused together in halves, until those are found that are refused
// by themselves.
func (s *ship) hunt(ctx context.Context, h *hunt, records []Record, why *Refused) error {
	if len(records) > 1 && h.fruitless >= maxFruitless {
		last := len(records) - 1 // by itself: of records that are too old it is the youngest
		if err := s.part(ctx, h, records[last:]); err != nil {
			return err
		}
		records = records[:last]
	}
	if len(records) == 1 || h.fruitless >= maxFruitless {
		s.giveUp(runsOf(records), why)
		return nil
	}
	half := len(records) / 2
	if err := s.part(ctx, h, records[:half]); err != nil {
		return err
	}
	return s.part(ctx, h, records[half:])
}

// part sends a part of the records.
func (s *ship) part(ctx context.Context, h *hunt, records []Record) error {
	lacking, refused, err := s.try(ctx, records)
	if err != nil || refused == nil {
		h.fruitless = 0
		return err
	}
	h.fruitless++
	return s.hunt(ctx, h, lacking, refused)
}

// try sends records until the store has taken or refused them. It returns those that it lacks, and
// why; nil = it has taken them.
func (s *ship) try(ctx context.Context, records []Record) (lacking []Record, refused *Refused, err error) {
	for len(records) > 0 {
		began := time.Now()
		err := s.to.Put(ctx, &Batch{LogID: s.id(), Records: records})
		s.stall(time.Since(began))
		var refused *Refused
		var rejected *Rejected
		switch {
		case err == nil:
			s.works()
			return nil, nil, nil
		case ctx.Err() != nil:
			return nil, nil, ctx.Err()
		case errors.As(err, &rejected):
			s.say.refused(rejected.N, records[0].Seq, records[len(records)-1].Seq, err)
			s.counters.refused.Add(rejected.N)
			return nil, nil, nil
		case errors.As(err, &refused):
			s.failed(err)
			return s.refused(ctx, records, refused)
		}
		s.failed(err)
		if busy, ok := errors.AsType[*Busy](err); ok {
			err = s.retry(ctx, busy.After)
		} else if s.store != nil {
			err = errAgain
		} else if err = s.retry(ctx, 0); err == nil {
			s.counters.unclear.Add(uint64(len(records)))
		}
		if err != nil {
			return nil, nil, err
		}
	}
	return nil, nil, nil
}

// refused returns the records that the store lacks after it has refused a request with them.
func (s *ship) refused(
	ctx context.Context, records []Record, why *Refused,
) (lacking []Record, refused *Refused, err error) {
	if why.TooLarge {
		s.limit = max(s.limit/2, minBatch)
		return records, why, nil
	}
	if s.store == nil {
		return records, why, nil
	}
	lacking, err = s.lacking(ctx, records)
	if err != nil || len(lacking) == 0 {
		return nil, nil, err
	}
	return lacking, why, nil
}
