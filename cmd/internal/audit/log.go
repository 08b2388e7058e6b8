package audit

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/record"
	"syntap/tap/handshake"
	"syntap/tun/flow"
)

// LogOptions configure a Log. The zero value is useful.
type LogOptions struct {
	// Queue is how many records may wait for a sink before new connections have to; 0 = 16384.
	// Reserve is how many more records of begun connections, and ends of connections, may wait.
	Queue, Reserve int

	Logger logrus.FieldLogger // of the program, for errors of the sinks; nil disables that
	Sinks  Options            // of those that Reload opens
}

// Log passes handshakes on to sinks without ever making the tap wait: between them are bounded
// queues.
type Log struct {
	o         LogOptions
	reload    chan reload // never closed
	fatal     chan error  // holds the error that ends Run
	written   atomic.Pointer[func(k flow.Key, serverISN uint32)]
	records   atomic.Uint64
	counted   atomic.Pointer[func() record.Frames]
	opened    atomic.Pointer[func() int]
	failed    atomic.Bool // Run ends because a sink has failed
	segments  atomic.Bool // a sink writes them
	admission admission

	mu      sync.RWMutex                  // guards the fields below; held for reading by users of the queues
	writers []*writer                     // one for each sink; only Run changes them, and reads them without mu
	gates   int                           // sinks whose records the connections wait for
	retired struct{ queue, write uint64 } // records that former sinks have lost, by reason
}

// item is a record, a segment or a gap on its way to a sink.
type item struct {
	record    *record.Attributed
	segment   *handshake.Segment
	gap       *loss
	unwritten *atomic.Int32 // sinks that have yet to write the record; nil = this one
}

func (i *item) time() time.Time {
	if i.segment != nil {
		return i.segment.Time
	}
	return i.record.Time
}

// NewLog returns a log over sinks, which it takes over. Run makes it write.
func NewLog(sinks []*Sink, o LogOptions) *Log {
	if o.Queue == 0 {
		o.Queue = 16384
	}
	if o.Logger == nil {
		o.Logger = silent()
	}
	l := &Log{o: o, reload: make(chan reload), fatal: make(chan error, 1)}
	var writers []*writer
	for _, s := range sinks {
		writers = append(writers, newWriter(l, s))
	}
	l.use(writers)
	return l
}

// use makes the log write to writers.
func (l *Log) use(writers []*writer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writers, l.gates = writers, 0
	segments := false
	for _, w := range writers {
		segments = segments || w.sink.byPacket
		if w.gate() {
			l.gates++
		}
	}
	l.segments.Store(segments)
}

// OnWritten has f called for each established connection when the kernel has its record from all
// sinks except those that may lose records (on_full: count). It is called by any goroutine and must
// not block.
func (l *Log) OnWritten(f func(k flow.Key, serverISN uint32)) { l.written.Store(&f) }

// CountOpen has admission keep room for as many records as f returns: the number of handshakes that
// have begun and have no record yet. Admission calls f, which must not block.
func (l *Log) CountOpen(f func() int) { l.opened.Store(&f) }

// CountFrames has the last record of a run hold the counters that f returns when the run ends.
func (l *Log) CountFrames(f func() record.Frames) { l.counted.Store(&f) }

func (l *Log) frames() *record.Frames {
	f := l.counted.Load()
	if f == nil {
		return nil
	}
	n := (*f)()
	return &n
}

// Record takes a handshake, for tap.Options.OnRecord. It never blocks: when a queue is full the
// record is lost, counted and announced.
func (l *Log) Record(r *record.Attributed) {
	l.records.Add(1)
	l.mu.RLock()
	defer l.mu.RUnlock()
	i := item{record: r}
	if l.gates > 1 {
		i.unwritten = new(atomic.Int32)
		i.unwritten.Store(int32(l.gates))
	}
	for _, w := range l.writers {
		w.enqueue(i)
	}
	if l.gates == 0 {
		l.passed(r)
	}
}

// Segment takes a segment, for tap.Options.OnSegment. It never blocks either.
func (l *Log) Segment(_ flow.Key, s handshake.Segment) {
	if !l.segments.Load() {
		return
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	seg := s // only now on the heap
	for _, w := range l.writers {
		if w.sink.byPacket {
			w.enqueue(item{segment: &seg})
		}
	}
}

// Flow takes the end of a connection. It never blocks either.
func (l *Log) Flow(f flow.Flow) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, w := range l.writers {
		if w.sink.format == config.JSON {
			w.enqueueFlow(f)
		}
	}
}

// NamesOwners reports whether a sink says whose process a client is.
func (l *Log) NamesOwners() bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return slices.ContainsFunc(l.writers, func(w *writer) bool { return w.sink.format == config.JSON })
}

// passed reports that the record of an established connection is durable.
func (l *Log) passed(r *record.Attributed) {
	if f := l.written.Load(); f != nil && r.Outcome == handshake.Established {
		(*f)(r.Key(), r.ServerISN)
	}
}

// Run writes until ctx ends or a sink with on_full: stop fails, then the rest of the queues, and
// closes the sinks. The tap should have fallen silent before ctx ends. It returns the errors of
// sinks that fail at the end; earlier ones have been reported to the logger. A sink that is stuck
// in a write then is given up after a few seconds.
func (l *Log) Run(ctx context.Context) error {
	writing, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	for _, w := range l.writers {
		w.start(writing)
	}
	errs := l.serve(ctx, writing)
	l.admission.close(l)
	stop()
	late := time.After(patience)
	for _, w := range l.writers {
		err := w.wait(late)
		if err != nil && !slices.ContainsFunc(errs, func(e error) bool { return e.Error() == err.Error() }) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// serve returns when ctx ends or a sink has failed for good.
func (l *Log) serve(ctx, writing context.Context) []error {
	for {
		select {
		case r := <-l.reload:
			r.done <- l.replace(writing, r.sinks)
		case <-ctx.Done():
			return nil
		case err := <-l.fatal:
			l.failed.Store(true)
			return []error{err}
		}
	}
}

// patience is how long Run waits for a sink whose reader does not read. Its write ends with the
// process.
const patience = 3 * time.Second

// fail ends Run with an error.
func (l *Log) fail(err error) {
	select {
	case l.fatal <- err:
	default: // Run ends already
	}
}

// Reopen has every sink continue in the file that has its log's name then. It is for programs that
// rename logs, and does not wait.
func (l *Log) Reopen() {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, w := range l.writers {
		select {
		case w.reopen <- struct{}{}:
		default: // it is about to happen
		}
	}
}

// LogStats is a snapshot of a log's counters.
type LogStats struct {
	Records uint64                      // attempts taken
	Refused uint64                      // SYNs that had to wait or were refused because records could not be written
	Lost    map[record.GapReason]uint64 // records missing in a sink, summed over all; of text in packet order, lines
}

// Stats returns the counters. It may be called at any time.
func (l *Log) Stats() LogStats {
	l.mu.RLock()
	defer l.mu.RUnlock()
	s := LogStats{
		Records: l.records.Load(), Refused: l.admission.refused.Load(),
		Lost: map[record.GapReason]uint64{record.QueueFull: l.retired.queue, record.WriteError: l.retired.write},
	}
	for _, w := range l.writers {
		s.Lost[record.QueueFull] += w.overflow.total.Load()
		s.Lost[record.WriteError] += w.sink.lost.Load()
	}
	return s
}
