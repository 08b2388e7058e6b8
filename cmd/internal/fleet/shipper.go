package fleet

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"syntap/cmd/internal/record"
)

// Options configure a Shipper. Router, Path, Destinations and Logger are required.
type Options struct {
	Router       string        // its name in the fleet
	Path         string        // of the JSON log
	Fields       Fields        // that leave the host
	Delay        time.Duration // the most that a record waits for others; 0 = a second
	Destinations []Destination
	// Written returns the number of the last record that is in the log's file for good: the end of
	// a write that fails may be there for a moment. nil = all are.
	Written func() uint64
	Logger  logrus.FieldLogger // of the program
	Former  *Shipper           // whose counters go on; nil = there was none
	Times   Times
}

// Destination is a receiver, known by its URL.
type Destination struct {
	Name     string // in metrics
	URL      string
	Receiver Receiver // asked for proof where it is a Store
}

// Times are those of a Shipper. The zero value stands for the defaults.
type Times struct {
	Poll      time.Duration // between two looks at the log; 100 ms
	Proof     time.Duration // from an answer to the proof: the store may take so long to write; 30 s
	AtOnce    time.Duration // within which a store that works answers a simple question; 1 s
	Settle    time.Duration // until a store that works again has done with former requests; 3 s
	Retry     time.Duration // before the first try anew; 500 ms
	MostRetry time.Duration // before later ones; 15 s
	Finish    time.Duration // for the rest of the log at the end; 5 s
}

func (t *Times) setDefaults() {
	t.Poll = cmp.Or(t.Poll, 100*time.Millisecond)
	t.Proof = cmp.Or(t.Proof, 30*time.Second)
	t.AtOnce = cmp.Or(t.AtOnce, time.Second)
	t.Settle = cmp.Or(t.Settle, 3*time.Second)
	t.Retry = cmp.Or(t.Retry, 500*time.Millisecond)
	t.MostRetry = cmp.Or(t.MostRetry, 15*time.Second)
	t.Finish = cmp.Or(t.Finish, 5*time.Second)
}

// Shipper brings the records of a log to stores.
type Shipper struct {
	o         Options
	positions positions
	ships     []*ship
	head      atomic.Pointer[head]

	mu     sync.Mutex
	firsts map[string]uint64 // seq of the first record of a rotated file, by its name before compression
}

// head vouches for the end of a chained log.
type head struct {
	line []byte
	seq  uint64
}

// New reads the position of the log. A position that cannot be read is found anew, by asking the
// stores.
func New(o Options) *Shipper {
	o.Times.setDefaults()
	o.Delay = cmp.Or(o.Delay, time.Second)
	s := &Shipper{o: o, positions: positions{path: o.Path}}
	for _, d := range o.Destinations {
		one := &ship{Shipper: s, name: d.Name, url: d.URL, to: d.Receiver, limit: maxBatch, counters: new(counters)}
		one.store, _ = d.Receiver.(Store)
		one.say = report{logger: o.Logger.WithField("url", d.URL)}
		s.ships = append(s.ships, one)
	}
	s.Resume()
	return s
}

// Resume reads the position of the log anew, before Run, when the former Shipper has ended.
func (s *Shipper) Resume() {
	var err error
	if s.positions.now, err = ReadPosition(s.o.Path); err != nil {
		s.o.Logger.WithError(err).Error("the position of the log in the fleet cannot be read: the stores are asked")
		s.positions.now = Position{}
	}
	for _, one := range s.ships {
		if former := s.o.Former.of(one.url); former != nil {
			one.counters = former.counters
		}
		one.counters.confirmed.Store(one.kept())
	}
	s.o.Former = nil
}

// of returns the ship of a store; nil where there is none.
func (s *Shipper) of(url string) *ship {
	if s == nil {
		return nil
	}
	i := slices.IndexFunc(s.ships, func(one *ship) bool { return one.url == url })
	if i < 0 {
		return nil
	}
	return s.ships[i]
}

// Run ships until ctx ends, and then the rest with one try. It closes the receivers.
func (s *Shipper) Run(ctx context.Context) {
	var all sync.WaitGroup
	for _, one := range s.ships {
		all.Go(func() {
			one.run(ctx)
			_ = one.to.Close() // its connections; all answers are there
		})
	}
	all.Wait()
}

// Head takes the head of the log, a line without its end that package chain has made, for the
// stores.
func (s *Shipper) Head(line []byte) {
	seq, _ := record.SeqOf(line)
	s.head.Store(&head{line: bytes.Clone(line), seq: seq})
}

// Confirmed returns the number of the last record that all stores have, with all before it.
func (s *Shipper) Confirmed() uint64 {
	if len(s.ships) == 0 {
		return 0
	}
	least := s.ships[0].counters.confirmed.Load()
	for _, one := range s.ships[1:] {
		least = min(least, one.counters.confirmed.Load())
	}
	return least
}
