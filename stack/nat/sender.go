//go:build linux

package nat

import "time"

// senderPause is how long a client has sent nothing on a flow when it is asked whether its socket
// is still the same. A program that takes the port of another within that time has its flows.
const senderPause = time.Second

// doubts reports whether it is to be asked who sends on a flow. flows.mu is held.
func (l *flow) doubts(now time.Duration) bool {
	m := l.mapping
	return now-l.sent > m.recorder.pause && m.recorder.o.SameSender != nil &&
		l.recorded && !l.key.query && !m.Client.Echo && m.IsLocal
}

// changed asks whether another socket than the one that has begun a flow sends now. If so the flow
// ends, and its ruling.
func (n *NAT) changed(l *flow, now time.Duration) bool {
	same := n.o.SameSender(l.opened)
	m := l.mapping
	m.sending.Lock()
	m.flows.mu.Lock()
	ended := l.ended
	switch {
	case ended:
	case same:
		l.sent = now
	default:
		m.flows.end(l)
	}
	m.flows.mu.Unlock()
	m.sending.Unlock()
	if same {
		return false
	}
	n.rulings.forget(ruledKey{m.Client, l.key.server})
	if !ended {
		n.recorder.report(l)
	}
	return true
}
