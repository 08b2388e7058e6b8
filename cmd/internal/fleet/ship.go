package fleet

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"
	"time"

	"syntap/cmd/internal/follow"
)

// The most bytes of lines in a request, unless one record is longer.
const (
	maxBatch = 1 << 20
	minBatch = 64 << 10 // for a receiver that takes no more
)

// errAgain has a ship find its place in the log and in the store anew.
var errAgain = errors.New("the place is to be found anew")

// ship brings a log to one store.
type ship struct {
	*Shipper
	name  string
	url   string
	to    Receiver
	store Store // the same; nil = it cannot be asked
	say   report

	place   Confirmed
	there   []Run  // behind place, when that was found: they are not sent
	last    uint64 // seq of the last record that was read
	lostTo  uint64 // the greatest that was counted as lost
	givenUp []Run  // behind place: they count as there
	sentTo  uint64 // the greatest that was ever sent
	limit   int    // bytes of a batch
	batch   batch
	again   batch // of those that the store had and has not
	window  window
	proof   time.Time     // when the last was tried
	stalled time.Duration // total of the store's stalls
	backoff time.Duration // of the next try
	unkept  bool          // the place could not be written last

	head      *head // that was sent
	headTried time.Time

	counters *counters
}

// counters are read by others.
type counters struct {
	records, unclear, forgotten, duplicates, refused, lost, forks atomic.Uint64

	confirmed atomic.Uint64
	oldest    atomic.Int64           // time of the first record that is read and not confirmed, in µs; 0 = none
	failing   atomic.Pointer[string] // the error; nil = none
}

// batch is records on their way, and those among them that the store has already.
type batch struct {
	Batch
	text  []byte // of the lines
	span  span   // of all; first 0 = none
	line  []byte // of the last
	since time.Time
}

func (b *batch) reset() {
	b.Records, b.text, b.span = b.Records[:0], b.text[:0], span{}
}

// run ships until ctx ends.
func (s *ship) run(ctx context.Context) {
	for ctx.Err() == nil {
		err := s.session(ctx)
		if err != nil && !errors.Is(err, errAgain) && ctx.Err() == nil {
			s.failed(err)
			_ = s.wait(ctx, s.o.Times.Retry) // only ctx ends it early
		}
	}
}

// session finds the place of the store in the log and ships from there on, until the place has to
// be found anew.
func (s *ship) session(ctx context.Context) error {
	if err := s.find(ctx); err != nil {
		return err
	}
	s.window, s.last, s.proof = s.window[:0], s.place.Seq, time.Now()
	s.batch.reset()
	log := follow.Behind(s.o.Path, s.place.Seq)
	defer log.Close()
	log.Written = s.o.Written
	log.Damaged = func(err error) {
		s.o.Logger.WithError(err).Error("a rotated log cannot be read: its records are not sent")
	}
	for {
		err := log.Read(func(l follow.Lines) error { return s.take(ctx, l) })
		s.noteOldest()
		if err == nil && s.batch.span.first > 0 && time.Since(s.batch.since) >= s.o.Delay {
			err = s.send(ctx)
		}
		if err == nil {
			err = s.prove(ctx)
		}
		if err != nil {
			return err
		}
		s.sendHead(ctx)
		if s.wait(ctx, s.o.Times.Poll) != nil {
			return s.finish(log)
		}
	}
}

// finish sends the rest of a log that has ended, with one try.
func (s *ship) finish(log *follow.Reader) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.o.Times.Finish)
	defer cancel()
	err := log.Read(func(l follow.Lines) error { return s.take(ctx, l) })
	if err == nil && s.batch.span.first > 0 {
		err = s.send(ctx)
	}
	if s.store == nil {
		s.confirm()
	}
	s.sendHead(ctx)
	return err
}

// sendHead sends the last head of the log, if the store has not got it. A head that it takes and
// loses gives way to the next one.
func (s *ship) sendHead(ctx context.Context) {
	h := s.Shipper.head.Load()
	if h == s.head || time.Since(s.headTried) < s.o.Times.AtOnce {
		return
	}
	s.headTried = time.Now()
	r := Record{Time: s.headTried, Line: h.line, Head: h.seq}
	r.Members[Msg] = []byte("head")
	if err := s.to.Put(ctx, &Batch{LogID: s.id(), Records: []Record{r}}); err == nil {
		s.head = h
	} else {
		s.failed(err)
	}
}

// take puts lines into the batch, and sends it whenever it is full.
func (s *ship) take(ctx context.Context, l follow.Lines) error {
	for line := range bytes.Lines(l.Text) {
		if len(s.batch.text)+len(line) > s.limit && s.batch.span.first > 0 {
			if err := s.send(ctx); err != nil {
				return err
			}
			if err := s.prove(ctx); err != nil {
				return err
			}
		}
		if err := s.add(ctx, bytes.TrimSuffix(line, []byte("\n"))); err != nil {
			return err
		}
	}
	return nil
}

// add puts a line into the batch.
func (s *ship) add(ctx context.Context, line []byte) error {
	text, r, ok := s.o.Fields.Append(s.batch.text, line)
	if !ok {
		s.o.Logger.WithField("path", s.o.Path).Errorf("the line behind seq %d is no record, and is not sent", s.last)
		return nil
	}
	if r.Seq > s.last+1 {
		if err := s.jump(ctx, r.Seq); err != nil {
			return err
		}
		text, r, _ = s.o.Fields.Append(s.batch.text, line) // the batch has been sent
	}
	s.last = r.Seq
	b := &s.batch
	if b.span.first == 0 {
		b.span.first, b.since = r.Seq, time.Now()
	}
	b.span.last = r.Seq
	b.span.extend(r.Time)
	b.line = append(b.line[:0], line...)
	if s.has(r.Seq) {
		return nil
	}
	b.text = text
	b.Records = append(b.Records, r)
	return nil
}

// jump is for records that are missing in the log in front of one.
func (s *ship) jump(ctx context.Context, seq uint64) error {
	if s.batch.span.first > 0 {
		if err := s.send(ctx); err != nil {
			return err
		}
	}
	found := errors.New("found")
	err := follow.Between(s.o.Path, s.last+1, seq-1, func(uint64, []byte) error { return found })
	if errors.Is(err, found) { // their file was being renamed
		return errAgain
	}
	if first := max(s.last, s.lostTo) + 1; first < seq {
		s.counters.lost.Add(seq - first)
		s.lostTo = seq - 1
		s.o.Logger.WithField("url", s.url).
			Errorf("records were removed before the store had them: seq %d to %d", first, seq-1)
	}
	return nil
}

// has reports whether the store had a record when the place was found, or is not to get it.
func (s *ship) has(seq uint64) bool {
	for _, r := range s.givenUp {
		if r.First <= seq && seq <= r.Last {
			return true
		}
	}
	for len(s.there) > 0 && s.there[0].Last < seq {
		s.there = s.there[1:]
	}
	return len(s.there) > 0 && s.there[0].First <= seq
}
