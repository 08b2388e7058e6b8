package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"syntap/cmd/internal/config"
)

// reload asks Run for other sinks.
type reload struct {
	sinks []config.Sink
	done  chan error // has room for the answer
}

// Reload changes the sinks of a running log: all of them, or none if one cannot be opened.
// Unchanged sinks continue. No record is lost, and none is written twice.
func (l *Log) Reload(ctx context.Context, sinks []config.Sink) error {
	r := reload{sinks: sinks, done: make(chan error, 1)}
	select {
	case l.reload <- r:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// replace puts other writers in the place of those there are. A writer whose sink is the same goes
// on; a writer whose sink has the same file and format gives way to its successor, which takes over
// its queue; others end when their queue is empty.
func (l *Log) replace(ctx context.Context, configs []config.Sink) error {
	old := slices.Clone(l.writers)
	take := func(same func(*writer) bool) *writer {
		i := slices.IndexFunc(old, same)
		if i < 0 {
			return nil
		}
		w := old[i]
		old = slices.Delete(old, i, i+1)
		return w
	}
	writers := make([]*writer, len(configs))
	for i, c := range configs {
		writers[i] = take(func(w *writer) bool { return w.sink.config.Equal(c) })
	}
	var opened []*writer
	for i, c := range configs {
		if writers[i] != nil {
			continue
		}
		former := take(func(w *writer) bool { return w.sink.path == c.Path && w.sink.format == c.Format })
		w, err := l.succeed(former, c)
		if err != nil {
			for _, w := range opened {
				w.giveUp()
			}
			return err
		}
		writers[i] = w
		opened = append(opened, w)
	}
	l.use(writers)
	for _, w := range opened {
		if w.takes != nil {
			w.takeOver()
		}
		w.start(ctx)
	}
	for _, w := range old {
		l.end(ctx, w)
	}
	return nil
}

// end ends a writer that is no longer wanted.
func (l *Log) end(ctx context.Context, w *writer) {
	late, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	w.stop()
	if err := w.wait(late.Done()); err != nil {
		l.o.Logger.WithError(err).Error("handshake log is no longer written, and not whole")
	}
	l.retire(w)
}

// succeed returns a writer for c that has yet to be started: the successor of another one, if
// former is not nil.
func (l *Log) succeed(former *writer, c config.Sink) (*writer, error) {
	if former == nil {
		s, err := Open(c, l.o.Sinks)
		if err != nil {
			return nil, err
		}
		return newWriter(l, s), nil
	}
	ask := change{config: c, ready: make(chan prepared, 1), commit: make(chan bool, 1)}
	select {
	case former.changes <- ask:
	case <-time.After(patience):
		return nil, fmt.Errorf("change log %s: %w", c.Path, former.stuckError())
	}
	answer := <-ask.ready
	if answer.err != nil {
		return nil, answer.err
	}
	w := newWriter(l, answer.sink)
	w.queue, w.flows, w.takes = former.queue, former.flows, &handover{former, ask.commit}
	return w, nil
}

// handover is the writer whose queues the next one takes over.
type handover struct {
	former *writer
	commit chan<- bool // tells it whether to give way
}

// change asks a writer to give way to one with another sink.
type change struct {
	config config.Sink
	ready  chan prepared // holds the answer
	commit chan bool     // then holds whether it is to give way
}

// prepared is the next sink, which continues behind the last record of the present one.
type prepared struct {
	sink *Sink
	err  error
}

// giveWay prepares a writer's next sink, and reports whether this writer is over.
func (w *writer) giveWay(c change) bool {
	err := w.try() // a new sink of the same file looks for the last record in it
	if err != nil && w.gate() {
		c.ready <- prepared{err: err}
		return false
	}
	o := w.log.o.Sinks
	o.succeeds = true
	next, err := Open(c.config, o)
	c.ready <- prepared{next, err}
	if err != nil {
		return false
	}
	if !<-c.commit {
		next.pending = nil // the present sink says it
		_ = next.Close()   // nothing but the head of a capture is in it
		return false
	}
	next.succeed(w.sink)
	w.report.update(errors.Join(w.sink.close(), next.out.Lock()))
	return true
}

// takeOver has the former writer give way, and takes over its queues and counters.
func (w *writer) takeOver() {
	w.takes.commit <- true
	former := w.takes.former
	_ = former.wait(nil) // it does not fail
	w.overflow.takeOver(&former.overflow)
	w.progress.waiting.Add(former.progress.waiting.Load())
	w.flows.wake()
	w.log.retire(former)
	w.takes = nil
}

// giveUp ends a writer that has not been started.
func (w *writer) giveUp() {
	if w.takes != nil {
		w.takes.commit <- false
		return
	}
	_ = w.sink.Close() // nothing but the head of a capture is in it
}

// retire keeps the counters of a writer that is over.
func (l *Log) retire(w *writer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.retired.queue += w.overflow.total.Load()
	l.retired.write += w.sink.lost.Load()
}

// succeed continues where a sink of the same place and format has ended.
func (s *Sink) succeed(former *Sink) {
	s.numbering = former.numbering
	if z, ok := former.form.(*zeekFormat); ok {
		s.form.(*zeekFormat).log = z.log
	}
	s.end.seq = max(s.end.seq, former.end.seq)
	s.end.counts = former.safe.counts
	if s.chain != nil && former.chain != nil {
		s.chain.Last, s.end.hash = former.safe.hash, former.safe.hash
	}
	s.safe = s.end
	s.missed(former.pending...)
}

// wait returns the result of a writer, or why it has not ended when late is closed.
func (w *writer) wait(late <-chan struct{}) error {
	select {
	case err := <-w.done:
		return err
	case <-late:
		return errors.Join(w.stuckError())
	}
}
