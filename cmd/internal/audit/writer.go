package audit

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/record"
	"syntap/tap"
	"syntap/tun/flow"
)

// writer is one sink with its queue and the goroutine that empties it.
//
//	      enqueue                    queue empty or batch full
//	tap ───────────▶ queue ──▶ batch ─────────────────────────▶ write ──▶ records passed on, the next batch
//	                   │         ▲ after a while                  │ error
//	router ────────────┼─▶ ends ─╯                                │
//	                   ╰ full: lost, or stop                      ├─ suspend: the same batch again, later; new connections wait
//	                                                              ├─ count:   lost, counted, announced with the next batch
//	                                                              ╰─ stop:    Run ends
type writer struct {
	log     *Log
	cancel  context.CancelFunc // has it write what is queued and end; set by start
	done    chan error         // holds how it has ended
	sink    *Sink
	policy  config.OnFull
	report  report
	queue   *queue
	ends    *ends         // what the queue has for them goes before
	high    int           // items in the queue, and ends, from which new connections wait
	changes chan change   // never closed
	former  *writer       // that is to give way, until the writer is started
	commit  chan<- bool   // tells it
	reopen  chan struct{} // holds a token when the sink is to reopen its file
	batch   []item        // established attempts in the sink's batch; the goroutine's
	taken   int64         // records in the sink's batch; the goroutine's

	waiting atomic.Int64 // records in the queue and in the batch
	failing atomic.Bool  // the last write has failed and is tried again
	since   atomic.Int64 // when the write that is going on began, in nanoseconds since 1970; 0 = none is

	mu     sync.Mutex // guards the two below
	gap    loss       // lost to the full queue since the last announcement
	behind int        // how many items of the queue came before the gap

	lost atomic.Uint64 // to the full queue
}

func newWriter(l *Log, s *Sink) *writer {
	w := &writer{
		log: l, sink: s, policy: s.config.OnFull, report: report{sink: s, logger: l.o.Logger}, done: make(chan error, 1),
		high: l.o.Queue, queue: newQueue(l.o.Queue + l.o.Reserve), ends: newEnds(), reopen: make(chan struct{}, 1), changes: make(chan change),
	}
	s.keep = w.gate()
	return w
}

// start has the writer write until ctx ends or stop is called; wait waits for that.
func (w *writer) start(ctx context.Context) {
	ctx, w.cancel = context.WithCancel(ctx)
	go func() { w.done <- w.run(ctx) }()
}

func (w *writer) stop() { w.cancel() }

// gate reports whether connections wait until the sink has their records.
func (w *writer) gate() bool { return w.policy != config.Count }

// enqueue never blocks.
func (w *writer) enqueue(i item) {
	if w.policy == config.Stop && w.queue.len() >= w.high {
		w.log.fail(fmt.Errorf("write log %s: it is too slow, %d records wait", w.sink.path, w.high))
	}
	pushed := w.queue.push(i)
	switch {
	case i.gap != nil: // an announcement, no record
	case pushed:
		w.waiting.Add(1)
	default:
		w.lose(i.time())
	}
}

// end takes the end of a connection. It never blocks.
func (w *writer) end(f flow.Flow) {
	if !w.ends.add(f, w.queue.limit) {
		w.lose(f.Started)
		return
	}
	w.waiting.Add(1)
}

// lose counts what there is no room for.
func (w *writer) lose(t time.Time) {
	w.lost.Add(1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gap.n == 0 {
		w.gap.reason = record.QueueFull
		w.behind = w.queue.len()
	}
	w.gap.add(t)
}

// lazy is how long the ends of connections wait for others to be written with: nobody waits for
// them.
const lazy = 20 * time.Millisecond

func (w *writer) run(ctx context.Context) error {
	later := time.NewTimer(lazy)
	later.Stop()
	defer later.Stop()
	for {
		select {
		case <-w.queue.news:
			w.takeBatch()
			w.flush(ctx)
		case <-w.ends.news:
			later.Reset(lazy)
		case <-later.C:
			w.takeAll(func() { w.flush(ctx) })
			w.flush(ctx)
		case <-w.reopen:
			w.told(w.sink.Reopen())
		case c := <-w.changes:
			if w.giveWay(c) {
				return nil
			}
		case <-ctx.Done():
			return w.drain()
		}
	}
}

// drain writes what is queued, with one try.
func (w *writer) drain() error {
	w.takeAll(func() { _ = w.try() })
	w.announce(true)
	if w.sink.format == config.JSON && !w.log.failed.Load() {
		w.sink.endRun(w.log.frames())
	}
	w.sink.keep = false // what cannot be written now is lost
	_ = w.try()
	return w.sink.Close()
}

// takeBatch puts what is queued into the batch, until that is full.
func (w *writer) takeBatch() {
	for i, ok := w.queue.pop(); ok; i, ok = w.queue.pop() {
		if w.take(i); w.sink.full() {
			w.queue.wake() // for the rest
			return
		}
	}
}

// takeAll puts all that waits into the batch, and writes it whenever it is full. A connection's end
// comes behind its record, which was there first.
func (w *writer) takeAll(write func()) {
	over := w.ends.take()
	for range w.queue.len() {
		i, _ := w.queue.pop()
		if w.take(i); w.sink.full() {
			write()
		}
	}
	for i := range over {
		w.taken++
		w.sink.flow(&over[i])
		if w.sink.full() {
			write()
		}
	}
}

func (w *writer) take(i item) {
	if i.gap == nil {
		w.taken++
	}
	switch {
	case i.record != nil:
		w.sink.record(i.record)
		if w.gate() && i.record.Outcome == tap.Established {
			w.batch = append(w.batch, i)
		}
	case i.segment != nil:
		w.sink.segment(i.segment)
	default:
		w.sink.missed(*i.gap)
	}
	w.announce(false)
}

// Between two tries of the same batch.
const (
	firstRetry = 50 * time.Millisecond
	lastRetry  = time.Second
)

// flush writes the batch. With suspend it returns when the batch is written or ctx ends.
func (w *writer) flush(ctx context.Context) {
	for wait := firstRetry; w.try() != nil && w.gate(); wait = min(2*wait, lastRetry) {
		if w.policy == config.Stop {
			w.log.fail(w.sink.err)
		}
		w.failing.Store(true)
		again := time.NewTimer(wait)
		select {
		case <-again.C:
		case <-w.reopen: // perhaps to a place that has room
			w.told(w.sink.Reopen())
		case c := <-w.changes:
			c.ready <- prepared{err: w.sink.err}
		case <-ctx.Done():
			again.Stop()
			return
		}
		again.Stop()
	}
	w.failing.Store(false)
}

// try writes the batch once and passes on the connections whose records are written.
func (w *writer) try() error {
	w.since.Store(time.Now().UnixNano())
	err := w.sink.Flush()
	w.since.Store(0)
	w.told(err)
	if err == nil || !w.sink.keep {
		w.waiting.Add(-w.taken)
		w.taken = 0
	}
	if err == nil {
		for _, i := range w.batch {
			if i.unwritten == nil || i.unwritten.Add(-1) == 0 {
				w.log.passed(i.record)
			}
		}
		clear(w.batch)
		w.batch = w.batch[:0]
	}
	return err
}

// told lets the program's log know how the sink does.
func (w *writer) told(err error) {
	if err != nil {
		w.report.failed(err)
	} else {
		w.report.works()
	}
}

// announce tells the sink of a gap once it has what was queued before it, or at the end.
func (w *writer) announce(end bool) {
	w.mu.Lock()
	w.behind--
	gap := w.gap
	if w.behind > 0 && !end {
		gap = loss{}
	} else {
		w.gap = loss{}
	}
	w.mu.Unlock()
	w.sink.missed(gap)
}

// slow is how long a write may take before new connections have to wait.
const slow = time.Second

// perAttempt is how many items of the queue an attempt takes, until it has its record, where each
// of its segments is one: a SYN, a SYN-ACK, what ends it, and one that was repeated.
const perAttempt = 5

// stuck reports whether new connections would wait for the sink: it fails, or is slow, or has no
// room for their records beside those of the attempts that are open. What is admitted finds room,
// so that no record of it is lost.
func (w *writer) stuck(now time.Time, open int) bool {
	if !w.gate() {
		return false
	}
	if w.sink.byPacket {
		open *= perAttempt
	}
	since, waiting := w.since.Load(), w.queue.len()
	return w.failing.Load() || waiting >= w.high || waiting+open >= w.queue.limit || w.ends.len() >= w.high ||
		since != 0 && now.UnixNano()-since > int64(slow)
}

// stuckError tells what a write that does not end keeps from being written; nil if there is none.
func (w *writer) stuckError() error {
	if w.since.Load() == 0 {
		return nil
	}
	return fmt.Errorf("write log %s: nobody reads it, %d records are lost", w.sink.path, w.waiting.Load())
}
