package audit

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/record"
	"syntap/tap/handshake"
)

// writer is one sink with its queues and the goroutine that empties them.
//
//	      enqueue                     queue empty or batch full
//	tap ───────────▶ queue ──▶ batch ──────────────────────────▶ write ──▶ records passed on, the next batch
//	                   │          ▲ after a while                  │ error
//	router ────────────┼─▶ flows ─╯                                │
//	                   ╰ full: lost, or stop                       ├─ suspend: the same batch again, later; new connections wait
//	                                                               ├─ count:   lost, counted, announced with the next batch
//	                                                               ╰─ stop:    Run ends
type writer struct {
	log    *Log
	sink   *Sink
	report report

	queue    *queue
	flows    *flowQueue // a flow is written behind all that the queue holds then
	overflow overflow
	batch    batch    // the goroutine's
	progress progress // of the goroutine

	cancel  context.CancelFunc // has the goroutine write the queues and end; set by start
	done    chan error         // holds the goroutine's result
	reopen  chan struct{}      // holds a token when the sink is to reopen its file
	changes chan change        // requests for another sink; never closed
	takes   *handover          // nil once the writer is started
}

// batch is the content of the sink's batch.
type batch struct {
	records int64  // their number
	gated   []item // whose connections, or datagrams, wait for their records
}

// progress is where a writer is, for Admission.
type progress struct {
	waiting atomic.Int64 // records in the queues and in the batch
	failing atomic.Bool  // the last write has failed and is tried again
	began   atomic.Int64 // when the present write began, in nanoseconds since 1970; 0 = none
}

func newWriter(l *Log, s *Sink) *writer {
	w := &writer{
		log: l, sink: s, report: report{sink: s, logger: l.o.Logger},
		queue: newQueue(l.o.Queue + l.o.Reserve), flows: newFlowQueue(),
		done: make(chan error, 1), reopen: make(chan struct{}, 1), changes: make(chan change),
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

// policy says how the writer acts when the log cannot be written.
func (w *writer) policy() config.OnFull { return w.sink.config.OnFull }

// gate reports whether connections wait until the sink has their records.
func (w *writer) gate() bool { return w.policy() != config.Count }

// enqueue takes an item. It never blocks.
func (w *writer) enqueue(i item) {
	if w.policy() == config.Stop && w.queue.len() >= w.log.o.Queue {
		w.log.fail(fmt.Errorf("write log %s: it is too slow, %d records wait", w.sink.path, w.log.o.Queue))
	}
	i.gated = w.gate() // as Log.gates counts it; a reload may change it while the item waits
	pushed := w.queue.push(i)
	switch {
	case i.gap != nil: // an announcement, no record
		if !pushed {
			w.overflow.announce(*i.gap, w.queue.len())
		}
	case pushed:
		w.progress.waiting.Add(1)
	default:
		w.overflow.add(i.time(), w.queue.len())
	}
}

// enqueueFlow takes the end of a connection or flow. It never blocks.
func (w *writer) enqueueFlow(f record.AttributedFlow) {
	if !w.flows.push(f, w.queue.limit) {
		w.overflow.add(f.Started, w.queue.len())
		return
	}
	w.progress.waiting.Add(1)
}

// lazy is how long ends of connections wait for others, to be written together.
const lazy = 20 * time.Millisecond

func (w *writer) run(ctx context.Context) error {
	later := time.NewTimer(lazy)
	later.Stop()
	defer later.Stop()
	for {
		select {
		case <-w.queue.ready:
			w.takeBatch()
			w.flush(ctx)
		case <-w.flows.ready:
			later.Reset(lazy)
		case <-later.C:
			w.takeAll(func() { w.flush(ctx) })
			w.flush(ctx)
		case <-w.reopen:
			w.report.update(w.sink.Reopen())
		case c := <-w.changes:
			if w.giveWay(c) {
				return nil
			}
		case <-ctx.Done():
			return w.drain()
		}
	}
}

// drain writes the queues, with one try.
func (w *writer) drain() error {
	w.takeAll(func() { _ = w.try() })
	w.sink.missed(w.overflow.next(true)...)
	if w.sink.hasFlows() && !w.log.failed.Load() {
		w.sink.endRun(w.log.accounts.sum())
	}
	w.sink.keep = false // a batch that cannot be written now is lost
	_ = w.try()
	return w.sink.Close()
}

// takeBatch moves items from the queue into the batch until that is full.
func (w *writer) takeBatch() {
	for i, ok := w.queue.pop(); ok; i, ok = w.queue.pop() {
		if w.take(i); w.sink.full() {
			w.queue.wake() // for the rest
			return
		}
	}
}

// takeAll moves all items of both queues into the batch, and writes it whenever it is full. The end
// of a connection comes behind its record, which was queued first.
func (w *writer) takeAll(write func()) {
	over := w.flows.take()
	for range w.queue.len() {
		i, _ := w.queue.pop()
		if w.take(i); w.sink.full() {
			write()
		}
	}
	for i := range over {
		w.batch.records++
		w.sink.flow(&over[i])
		if w.sink.full() {
			write()
		}
	}
}

func (w *writer) take(i item) {
	if i.gap == nil {
		w.batch.records++
	}
	switch {
	case i.record != nil:
		w.sink.record(i.record)
		if i.gated && i.record.Outcome == handshake.Established {
			w.batch.gated = append(w.batch.gated, i)
		}
	case i.datagram != nil:
		w.sink.datagram(i.datagram)
		if i.gated && !i.datagram.Denied {
			w.batch.gated = append(w.batch.gated, i)
		}
	case i.segment != nil:
		w.sink.segment(i.segment)
	case i.finding != nil:
		w.sink.finding(i.finding)
	default:
		w.sink.missed(*i.gap)
	}
	w.sink.missed(w.overflow.next(false)...)
}

// Between two tries of the same batch.
const (
	firstRetry = 50 * time.Millisecond
	lastRetry  = time.Second
)

// flush writes the batch. With suspend it returns when the batch is written or ctx ends.
func (w *writer) flush(ctx context.Context) {
	for wait := firstRetry; w.try() != nil && w.gate(); wait = min(2*wait, lastRetry) {
		if w.policy() == config.Stop {
			w.log.fail(w.sink.err)
		}
		w.progress.failing.Store(true)
		again := time.NewTimer(wait)
		select {
		case <-again.C:
		case <-w.reopen: // perhaps to a place that has room
			w.report.update(w.sink.Reopen())
		case c := <-w.changes:
			c.ready <- prepared{err: w.sink.err}
		case <-ctx.Done():
			again.Stop()
			return
		}
		again.Stop()
	}
	w.progress.failing.Store(false)
}

// try writes the batch once and passes on the connections and datagrams whose records are written,
// or lost to a sink that may lose them since a reload.
func (w *writer) try() error {
	w.progress.began.Store(time.Now().UnixNano())
	err := w.sink.Flush()
	w.progress.began.Store(0)
	w.report.update(err)
	if err == nil || !w.sink.keep {
		w.progress.waiting.Add(-w.batch.records)
		w.batch.records = 0
	}
	if err == nil || !w.gate() {
		for i := range w.batch.gated {
			gated := &w.batch.gated[i]
			if gated.unwritten == nil || gated.unwritten.Add(-1) == 0 {
				w.log.passed(gated)
			}
		}
		clear(w.batch.gated)
		w.batch.gated = w.batch.gated[:0]
	}
	return err
}

// slow is how long a write may take before new connections have to wait.
const slow = time.Second

// perAttempt is how many items of the queue a handshake takes until it has its record, if each
// of its segments is one: a SYN, a SYN-ACK, the last segment, and one that was repeated.
const perAttempt = 5

// stuck reports whether new connections would wait for the sink: it fails, or is slow, or has a
// long queue, or keeps too many records that stores lack.
func (w *writer) stuck(now time.Time) bool {
	if w.sink.spoolFull() {
		return true
	}
	if !w.gate() {
		return false
	}
	began, queued, high := w.progress.began.Load(), w.queue.len(), w.log.o.Queue
	return w.progress.failing.Load() || began != 0 && now.UnixNano()-began > int64(slow) ||
		queued >= high || w.flows.len() >= high || queued >= w.queue.limit
}

// stuckError reports how many records a writer that does not end holds up, or nil if it has none
// and writes nothing.
func (w *writer) stuckError() error {
	waiting := w.progress.waiting.Load()
	if waiting == 0 && w.progress.began.Load() == 0 {
		return nil
	}
	return fmt.Errorf("write log %s: the write does not end, %d records are lost", w.sink.path, waiting)
}
