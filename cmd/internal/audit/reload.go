package audit

import (
	"context"
	"errors"
	"slices"

	"syntap/cmd/internal/config"
)

// reload asks Run for other sinks.
type reload struct {
	sinks []config.Sink
	done  chan error // has room for the answer
}

// Reload has a running log write to other sinks: all of them, or none where one cannot be opened. Those that are as before
// go on. No record is lost, and none is written twice.
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

// replace puts other sinks in the place of those there are.
func (l *Log) replace(configs []config.Sink) error {
	for range len(l.queue) { // what has come before
		l.write(<-l.queue)
	}
	l.flush() // a new sink of the same file looks for the last record in it
	old := slices.Clone(l.sinks)
	var sinks, opened []*Sink
	for _, c := range configs {
		if i := slices.IndexFunc(old, func(s *Sink) bool { return s.config == c }); i >= 0 {
			sinks, old = append(sinks, old[i]), slices.Delete(old, i, i+1)
			continue
		}
		s, err := Open(c, l.o.Sinks)
		if err != nil {
			for _, s := range opened {
				err = errors.Join(err, s.Close()) // nothing but the head of a capture is in it
			}
			return err
		}
		sinks, opened = append(sinks, s), append(opened, s)
	}
	for _, s := range old {
		l.retire(s, opened)
	}
	l.use(sinks)
	return nil
}

// retire closes a sink that is no longer written to. The next one at the same place goes on with its numbers, and announces
// what it could not.
func (l *Log) retire(s *Sink, opened []*Sink) {
	next := slices.IndexFunc(opened, func(next *Sink) bool { return next.path == s.path && next.format == s.format })
	if next >= 0 {
		opened[next].succeed(s)
	}
	s.pending = nil
	if err := s.Close(); err != nil && l.o.Logger != nil {
		l.o.Logger.WithError(err).Error("handshake log is no longer written, and not whole")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.retired += s.lost.Load()
}

// succeed takes over what a sink of the same place and format leaves.
func (s *Sink) succeed(former *Sink) {
	s.seq = max(s.seq, former.seq)
	s.written = s.seq
	for _, g := range former.pending {
		s.missed(g)
	}
}

// use makes the log write to sinks.
func (l *Log) use(sinks []*Sink) {
	var reports []report
	segments := false
	for _, s := range sinks {
		segments = segments || s.byPacket
		i := slices.IndexFunc(l.reports, func(r report) bool { return r.sink == s })
		if i < 0 {
			reports = append(reports, report{sink: s, logger: l.o.Logger})
		} else {
			reports = append(reports, l.reports[i])
		}
	}
	l.segments.Store(segments)
	l.reports = reports
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sinks = sinks
}
