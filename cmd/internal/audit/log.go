package audit

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"syntap/cmd/internal/record"
	"syntap/tap/handshake"
	"syntap/tun/flow"
)

// LogOptions configure a Log. The zero value is useful.
type LogOptions struct {
	// Queue is the number of records that may wait for a sink before new connections must wait; 0 =
	// 16384. Reserve is the number of further records of begun connections, and of ends of
	// connections, that may wait.
	Queue, Reserve int

	Logger logrus.FieldLogger // of the program, for errors of the sinks; nil disables that
	Sinks  Options            // of those that Reload opens
}

// Log passes handshakes on to sinks through bounded queues, so that the tap never waits.
type Log struct {
	o        LogOptions
	reload   chan reload // never closed
	fatal    chan error  // holds the error that ends Run
	written  atomic.Pointer[func(k flow.Key, serverISN uint32, opening *record.Opening)]
	sent     atomic.Pointer[func(*flow.Datagram)]
	records  atomic.Uint64
	accounts accounts
	failed   atomic.Bool // Run ends because a sink has failed
	found    found
	segments atomic.Bool // a sink writes them

	mu      sync.RWMutex                  // guards the fields below; held for reading by users of the queues
	writers []*writer                     // one for each sink; only Run changes them, and reads them without mu
	gates   gates                         // sinks whose records the connections wait for
	retired struct{ queue, write uint64 } // records that former sinks have lost, by reason
}

// gates counts the sinks whose records the traffic waits for.
type gates struct{ handshakes, datagrams int }

// item is a record, a segment, a finding or a gap on its way to a sink.
type item struct {
	record    *record.Attributed
	datagram  *record.AttributedDatagram
	segment   *handshake.Segment
	finding   *record.Finding
	gap       *loss
	gated     bool          // the connection or datagram waits for this sink's record
	unwritten *atomic.Int32 // sinks that have yet to write the record; nil = this one
}

func (i *item) time() time.Time {
	switch {
	case i.segment != nil:
		return i.segment.Time
	case i.datagram != nil:
		return i.datagram.Time
	case i.finding != nil:
		return i.finding.Time
	}
	return i.record.Time
}

// NewLog returns a log that owns sinks. Run makes it write.
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
	l.writers, l.gates = writers, gates{}
	segments := false
	for _, w := range writers {
		segments = segments || w.sink.byPacket
		if w.gate() {
			l.gates.handshakes++
		}
		if w.gate() && w.sink.hasFlows() {
			l.gates.datagrams++
		}
	}
	l.segments.Store(segments)
}

// OnWritten sets the function that is called for each established connection when the kernel has
// its record from all sinks except those that may lose records (on_full: count). The connection's
// Flow must have the same opening. Any goroutine calls f, which must not block.
func (l *Log) OnWritten(f func(k flow.Key, serverISN uint32, opening *record.Opening)) {
	l.written.Store(&f)
}

// OnDatagramWritten has f called for each datagram that policy allows when the kernel has its
// record: from all sinks that have records of datagrams, except those that may lose them. f is
// called by any goroutine, before Datagram returns where there is no such sink, and must not block.
func (l *Log) OnDatagramWritten(f func(*flow.Datagram)) { l.sent.Store(&f) }

// Account adds the account of one of several routers to that of the run; nil is for one that has
// died.
func (l *Log) Account(f *record.Frames) { l.accounts.add(f) }

// CountRead sets the function that tells how many frames all routers have read. Those that are in
// no account are of routers that have died.
func (l *Log) CountRead(f func() (uint64, error)) { l.accounts.countRead(f) }

// Record takes a handshake, for tap.Options.OnRecord. It never blocks: when a queue is full the
// record is lost, counted and announced.
func (l *Log) Record(r *record.Attributed) {
	l.records.Add(1)
	l.mu.RLock()
	i, gates := item{record: r, unwritten: countdown(l.gates.handshakes)}, l.gates
	for _, w := range l.writers {
		w.enqueue(i)
	}
	l.mu.RUnlock()
	if gates.handshakes == 0 {
		l.passed(&i)
	}
}

// countdown returns a counter for more than one sink.
func countdown(sinks int) *atomic.Int32 {
	if sinks <= 1 {
		return nil
	}
	n := new(atomic.Int32)
	n.Store(int32(sinks))
	return n
}

// Datagram takes the beginning of a flow without a handshake, whether policy allows it or not. It
// never blocks either.
func (l *Log) Datagram(d *record.AttributedDatagram) {
	l.records.Add(1)
	l.mu.RLock()
	i, gates := item{datagram: d, unwritten: countdown(l.gates.datagrams)}, l.gates
	for _, w := range l.writers {
		if w.sink.hasFlows() {
			w.enqueue(i)
		}
	}
	l.mu.RUnlock()
	if gates.datagrams == 0 {
		l.passed(&i)
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

// Flow takes the end of a connection or flow. It never blocks either.
func (l *Log) Flow(f record.AttributedFlow) {
	l.records.Add(1)
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, w := range l.writers {
		if w.sink.hasFlows() {
			w.enqueueFlow(f)
		}
	}
}

// Finding takes a finding, which no caller may change afterwards. It never blocks either.
func (l *Log) Finding(f *record.Finding) {
	l.records.Add(1)
	l.found.add(f)
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, w := range l.writers {
		if w.sink.hasFlows() {
			w.enqueue(item{finding: f})
		}
	}
}

// NamesOwners reports whether a sink says whose process a client is.
func (l *Log) NamesOwners() bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return slices.ContainsFunc(l.writers, func(w *writer) bool { return w.sink.hasFlows() })
}

// passed reports that the record of an established connection, or of a datagram, is durable.
func (l *Log) passed(i *item) {
	if d := i.datagram; d != nil {
		if f := l.sent.Load(); f != nil && !d.Denied {
			(*f)(d.Datagram)
		}
		return
	}
	r := i.record
	if f := l.written.Load(); f != nil && r.Outcome == handshake.Established {
		(*f)(r.Key(), r.ServerISN, r.Opening)
	}
}

// Run writes until ctx ends or a sink with on_full: stop fails, then the rest of the queues, and
// closes the sinks. The tap should have fallen silent before ctx ends. It returns the errors of
// sinks that fail at the end; earlier ones have been reported to the logger. A sink that is stuck
// in a write then is given up: after 3 s where a reader does not read, after 30 s where a disk is
// slow.
func (l *Log) Run(ctx context.Context) error {
	writing, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	for _, w := range l.writers {
		w.start(writing)
	}
	errs := l.serve(ctx, writing)
	stop()
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	lateDisk, cancelDisk := context.WithTimeout(context.WithoutCancel(ctx), diskPatience)
	defer cancelDisk()
	for _, w := range l.writers {
		giveUp := late.Done()
		if w.sink.onDisk {
			giveUp = lateDisk.Done()
		}
		err := w.wait(giveUp)
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

// At its end Run waits for a sink whose reader does not read, and for a disk, as long as this. A
// reload waits for either as long as for a reader. The write to a pipe ends with the process. That
// to a disk does not, as a rule: the kernel ends no process before its disk has answered, so that
// to give up soon would lose the records in the queue and win nothing. The service's TimeoutStopSec
// (configs/syntap.service) has to be longer.
const (
	patience     = 3 * time.Second
	diskPatience = 30 * time.Second
)

// fail ends Run with an error.
func (l *Log) fail(err error) {
	select {
	case l.fatal <- err:
	default: // Run ends already
	}
}

// Reopen makes every sink continue in the file that now has its log's name. It is for programs that
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
	Records uint64                      // records taken
	Found   map[Found]uint64            // findings
	Lost    map[record.GapReason]uint64 // records missing in a sink, summed over all; of text in packet order, lines
}

// Stats returns the counters. It may be called at any time.
func (l *Log) Stats() LogStats {
	l.mu.RLock()
	defer l.mu.RUnlock()
	s := LogStats{
		Records: l.records.Load(), Found: l.found.snapshot(),
		Lost: map[record.GapReason]uint64{record.QueueFull: l.retired.queue, record.WriteError: l.retired.write},
	}
	for _, w := range l.writers {
		s.Lost[record.QueueFull] += w.overflow.total.Load()
		s.Lost[record.WriteError] += w.sink.lost.Load()
	}
	return s
}
