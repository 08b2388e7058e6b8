package tracker

import (
	"time"

	"syntap/tap/tracker/kept"
)

// Bounds of copies and of segments in another order than they passed.
const (
	copyWindow = 50 * time.Millisecond // a copy comes within
	maxEarly   = 8                     // segments of one flow that wait for a SYN
)

// MaxFormer bounds the handshakes of one flow of a capture that SYNs with other numbers have
// followed.
const MaxFormer = 256

// past is the memory of a captured flow besides its handshake.
type past struct {
	former []*tracked     // SYNs with other numbers, without a verdict, oldest first
	early  []kept.Segment // segments that may be ahead of their SYN
	icmp   answer         // the last ICMP error that answers it
}

// answer is an ICMP error of a capture.
type answer struct {
	sum uint64 // of its bytes, as icmpSum has it; 0 on a live link
	at  time.Time
}

// copied reports whether b is the same error, captured again.
func (a *answer) copied(b answer) bool {
	return a.sum == b.sum && b.at.Sub(a.at).Abs() <= copyWindow
}
