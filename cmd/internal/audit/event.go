package audit

import (
	"time"

	"syntap/tap"
	"syntap/tun/flow"
)

// EventKey is the key of an [Event] among the fields of a sink's logrus entries.
const EventKey = "event"

// Event is what one entry of a sink's logger is about: one of the pointers is set. It is valid only
// while the entry is logged.
type Event struct {
	Seq     uint64       // number of the record; JSON sinks only
	Record  *tap.Record  // one attempt, when its verdict has fallen
	Segment *tap.Segment // one segment, as it passes; text sinks in packet order only
	Gap     *Gap         // records are missing here; JSON sinks only
	Flow    *flow.Flow   // a connection has ended; JSON sinks only
	End     *End         // the run ends; JSON sinks only
}

// Gap is a run of records that could not be written, or never came about, or are not in the log any
// more.
type Gap struct {
	Reason      Reason
	Lost        uint64    // how many; of Suspended, the SYNs that were kept out
	From, To    time.Time // of the first and of the last of them; of those that are not there any more, when that was found
	First, Last uint64    // of those, their numbers; 0 = not known
}

// Reason says why records are missing.
type Reason string

const (
	QueueFull  Reason = "queue_full"  // the sinks were too slow
	WriteError Reason = "write_error" // the sink's file could not be written
	Suspended  Reason = "suspended"   // new connections were kept out until records could be written again

	// Of chained logs only. The first is in order, the others were found at a start.
	Rotated     Reason = "rotated"      // rotation removes the oldest files (max_files)
	Cut         Reason = "cut"          // the log ended before its head
	Altered     Reason = "altered"      // the log had another record than its head says
	HeadMissing Reason = "head_missing" // the log had no head
)

// numbered reports whether the gap is about records that were in the log.
func (r Reason) numbered() bool { return r == Rotated || r == Cut || r == Altered || r == HeadMissing }

// add counts one lost record.
func (g *Gap) add(t time.Time) {
	if g.Lost == 0 || t.Before(g.From) {
		g.From = t
	}
	if g.Lost == 0 || t.After(g.To) {
		g.To = t
	}
	g.Lost++
}

// merge counts the losses of h too.
func (g *Gap) merge(h Gap) {
	if h.Lost == 0 {
		return
	}
	lost := g.Lost + h.Lost
	g.add(h.From)
	g.add(h.To)
	g.Lost, g.Last = lost, max(g.Last, h.Last)
}
