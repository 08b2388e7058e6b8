package audit

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"syntap/tap"
)

// LogOptions configure a Log. The zero value is useful.
type LogOptions struct {
	Queue  int                // records that may wait for the sinks; 0 = 16384
	Logger logrus.FieldLogger // of the program, for errors of the sinks; nil = nobody is told
	Sinks  Options            // of those that Reload opens
}

// Log passes handshakes on to sinks without ever making the tap wait: between them is a bounded queue.
type Log struct {
	o        LogOptions
	reports  []report    // about each sink
	segments atomic.Bool // a sink wants them
	queue    chan item   // never closed
	reload   chan reload // never closed

	mu      sync.Mutex // guards the fields below
	sinks   []*Sink    // only Run changes them, and reads them without mu
	retired uint64     // records that former sinks have lost to write errors
	gap     Gap        // lost since the last announcement
	behind  int        // how many items of the queue came before the gap

	records atomic.Uint64
	lost    atomic.Uint64 // to the full queue
}

// item is a record or a segment.
type item struct {
	record  *tap.Record
	segment *tap.Segment
}

// NewLog returns a log over sinks, which it takes over. Run makes it write.
func NewLog(sinks []*Sink, o LogOptions) *Log {
	if o.Queue == 0 {
		o.Queue = 16384
	}
	l := &Log{o: o, queue: make(chan item, o.Queue), reload: make(chan reload)}
	l.use(sinks)
	return l
}

// Record takes a handshake, for tap.Options.OnRecord. It never blocks: when the queue is full the record is lost, counted
// and announced.
func (l *Log) Record(r *tap.Record) { l.enqueue(item{record: r}, r.Time) }

// Segment takes a segment, for tap.Options.OnSegment. It never blocks either.
func (l *Log) Segment(_ tap.Key, s tap.Segment) {
	if l.segments.Load() {
		seg := s // only now on the heap
		l.enqueue(item{segment: &seg}, s.Time)
	}
}

func (l *Log) enqueue(i item, t time.Time) {
	select {
	case l.queue <- i:
		return
	default:
	}
	l.lost.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gap.Lost == 0 {
		l.gap.Reason = QueueFull
		l.behind = len(l.queue)
	}
	l.gap.add(t)
}

// Run writes until ctx ends, then what is in the queue, and closes the sinks. The tap must have fallen silent before ctx
// ends. It returns the errors of sinks that fail at the end; earlier ones have been reported to the logger.
func (l *Log) Run(ctx context.Context) error {
	for {
		select {
		case i := <-l.queue:
			l.write(i)
			if len(l.queue) == 0 {
				l.flush()
			}
		case r := <-l.reload:
			r.done <- l.replace(r.sinks)
		case <-ctx.Done():
			return l.drain()
		}
	}
}

func (l *Log) drain() error {
	for {
		select {
		case i := <-l.queue:
			l.write(i)
		default:
			l.announce(true)
			var errs []error
			for _, s := range l.sinks {
				errs = append(errs, s.Close())
			}
			return errors.Join(errs...)
		}
	}
}

func (l *Log) write(i item) {
	if i.record != nil {
		l.records.Add(1)
	}
	for n, s := range l.sinks {
		var err error
		if i.record != nil {
			err = s.Record(i.record)
		} else {
			err = s.Segment(i.segment)
		}
		if err != nil {
			l.reports[n].failed(err)
		}
	}
	l.announce(false)
}

func (l *Log) flush() {
	for n, s := range l.sinks {
		if err := s.Flush(); err != nil {
			l.reports[n].failed(err)
		} else {
			l.reports[n].works()
		}
	}
}

// announce tells the sinks of a gap once they have what was queued before it, or at the end.
func (l *Log) announce(end bool) {
	l.mu.Lock()
	l.behind--
	gap := l.gap
	if l.behind > 0 && !end {
		gap = Gap{}
	} else {
		l.gap = Gap{}
	}
	l.mu.Unlock()
	for _, s := range l.sinks {
		s.missed(gap)
	}
}

// LogStats is a snapshot of a log's counters.
type LogStats struct {
	Records uint64            // attempts passed on to the sinks
	Lost    map[Reason]uint64 // records that are missing, in one sink or in all; lines of a text sink in packet order
}

// Stats returns the counters. It may be called at any time.
func (l *Log) Stats() LogStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := LogStats{Records: l.records.Load(), Lost: map[Reason]uint64{QueueFull: l.lost.Load(), WriteError: l.retired}}
	for _, sink := range l.sinks {
		s.Lost[WriteError] += sink.lost.Load()
	}
	return s
}
