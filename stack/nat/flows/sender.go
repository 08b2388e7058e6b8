//go:build linux

package flows

import "time"

// doubts reports whether it is to be asked who sends on a flow. Set.mu is held.
func (l *Flow) doubts(now time.Duration) bool {
	r, e := l.set.recorder, l.set.entry
	return now-l.sent > r.Pause && r.o.SameSender != nil &&
		l.recorded && !l.key.Query && !e.Client.Echo && e.IsLocal
}

// Changed asks whether another socket than the one that has begun a flow sends now. If so the flow
// ends.
func (l *Flow) Changed(now time.Duration) bool {
	s := l.set
	same := s.recorder.o.SameSender(l.opened)
	s.Sending.Lock()
	s.mu.Lock()
	ended := l.ended
	switch {
	case ended:
	case same:
		l.sent = now
	default:
		s.end(l)
	}
	s.mu.Unlock()
	s.Sending.Unlock()
	if !same && !ended {
		s.recorder.report(l)
	}
	return !same
}
