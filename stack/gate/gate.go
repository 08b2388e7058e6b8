//go:build linux

package gate

import (
	"sync/atomic"
	"time"

	"syntap/stack/inspect"
	"syntap/stack/peek"
	tunflow "syntap/tun/flow"
)

// Within is how long the beginning of a query, or of bytes that may say a name, waits for more.
// Servers wait about as long for a request.
const Within = 30 * time.Second

// Policy decides on what clients say.
type Policy interface {
	// Contradicts reports whether a client says another name than that of its connection.
	Contradicts(said *inspect.Said) bool
	// Denies reports whether a DNS query is forbidden.
	Denies(query *tunflow.DNS) bool
}

// Gate is the gate of one connection. The zero value is open.
type Gate struct {
	Queries *Queries // nil = DNS queries are not decided on; set before the relay begins

	strict   bool        // the name holds for the connection; set before the relay begins
	waits    bool        // nothing has passed
	asked    bool        // for an answer before its name: that says nothing of the protocol
	answered atomic.Bool // the far side has spoken

	timer *time.Timer  // nil = no byte waits for more
	late  *atomic.Bool // its time is over; nil with timer
}

// Verdict is the decision on the bytes at the front of netstack's queue.
type Verdict uint8

// The values of [Verdict].
const (
	Pass         Verdict = iota // those in the views
	Wait                        // until there are more: Await
	Forbid                      // the connection ends, for a query or no query
	Contradicted                // the connection ends, for the name that they say
	Unclear                     // the connection ends, for a name that cannot be read
	Answered                    // a query is taken out; its response waits in Queries
	Full                        // the same, but there is no room for the response yet
)

// HoldNames makes the first bytes wait for a name.
func (t *Gate) HoldNames() { t.strict, t.waits = true, true }

// Open reports whether all is decided.
func (t *Gate) Open() bool { return !t.waits && t.Queries == nil }

// Pass shortens g to the bytes that may pass. all means that g has all bytes of the client. If the
// verdict is Answered, query is the one at the front, of size bytes.
func (t *Gate) Pass(g *peek.Views, all bool, p Policy) (v Verdict, query *tunflow.DNS, size int) {
	if t.waits {
		if v = t.passName(g, all, p); v != Pass {
			return v, nil, 0
		}
	}
	if t.Queries == nil {
		return Pass, nil, 0
	}
	if t.Queries.cleared == 0 {
		if v, query, size = t.passQuery(g, all, p); v != Pass {
			return v, query, size
		}
	}
	g.Cut(t.Queries.cleared)
	return Pass, nil, 0
}

// Sent notes that n bytes have passed.
func (t *Gate) Sent(n int) {
	if t.Queries != nil {
		t.Queries.cleared -= n
	}
}

// Await bounds the wait for more bytes. At the end it calls wake.
func (t *Gate) Await(within time.Duration, wake func()) {
	if t.timer == nil {
		late := new(atomic.Bool)
		t.late = late
		t.timer = time.AfterFunc(within, func() {
			late.Store(true)
			wake()
		})
	}
}

// isLate reports whether the time of bytes that wait is over.
func (t *Gate) isLate() bool { return t.late != nil && t.late.Load() }

// EndWait ends the wait of bytes. Later bytes have a time of their own.
func (t *Gate) EndWait() {
	if t.timer != nil {
		t.timer.Stop() // its end, if it comes all the same, is of no wait any more
		t.timer, t.late = nil, nil
	}
}
