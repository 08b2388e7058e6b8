package audit

import (
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"syntap/cmd/internal/record"
	"syntap/tap/handshake"
)

// EventKey is the key of an [Event] among the fields of the logrus entries that hooks see.
const EventKey = "event"

// Event is written by a sink: one of the pointers is set. It is valid only while a hook or a format
// has it.
type Event struct {
	Seq      uint64                     // number of the record; JSON sinks only
	Record   *record.Attributed         // one attempt, when its verdict has fallen
	Segment  *handshake.Segment         // one segment, as it passes; text sinks in packet order only
	Datagram *record.AttributedDatagram // a flow without a handshake begins; JSON sinks only
	Flow     *record.AttributedFlow     // a connection or flow is over; JSON sinks only
	Opening  uint64                     // of a Flow: number of the record by which it began; 0 = not in this log
	Finding  *record.Finding            // the router has found something out by itself; JSON sinks only
	Gap      *record.Gap                // records are missing here; JSON sinks only
	End      *record.End                // the run ends; JSON sinks only
}

// entry returns the event as hooks see it.
func (e *Event) entry() *logrus.Entry {
	entry := &logrus.Entry{Level: logrus.InfoLevel, Data: logrus.Fields{EventKey: e}}
	switch {
	case e.Record != nil:
		entry.Message, entry.Time = "handshake", e.Record.Time
	case e.Segment != nil:
		entry.Message, entry.Time = "segment", e.Segment.Time
	case e.Datagram != nil:
		entry.Message, entry.Time = "datagram", e.Datagram.Time
	case e.Flow != nil:
		entry.Message, entry.Time = "flow", e.Flow.Started.Add(e.Flow.Duration)
	case e.Finding != nil:
		entry.Message, entry.Time, entry.Level = "finding", e.Finding.Time, logrus.WarnLevel
	case e.Gap != nil:
		entry.Message, entry.Time = "gap", e.Gap.Time
		if e.Gap.Level != "info" {
			entry.Level = logrus.WarnLevel
		}
	default:
		entry.Message, entry.Time = "end", e.End.Time
	}
	return entry
}

// loss counts records that are missing for one reason.
type loss struct {
	reason      record.GapReason
	n           uint64    // for Suspended, the SYNs and datagrams that were kept out
	from, to    time.Time // of the first and of the last of them
	first, last uint64    // numbers of records that were in the log; 0 = not known
}

// add counts one record of the time t.
func (l *loss) add(t time.Time) {
	if l.n == 0 || t.Before(l.from) {
		l.from = t
	}
	if l.n == 0 || t.After(l.to) {
		l.to = t
	}
	l.n++
}

// merge counts the records of another loss too.
func (l *loss) merge(other loss) {
	if other.n == 0 {
		return
	}
	n := l.n + other.n
	l.add(other.from)
	l.add(other.to)
	l.n, l.last = n, max(l.last, other.last)
}

// merge adds a loss to others, of which each has another reason.
func merge(losses []loss, l loss) []loss {
	i := slices.IndexFunc(losses, func(other loss) bool { return other.reason == l.reason })
	if i < 0 {
		return append(losses, l)
	}
	losses[i].merge(l)
	return losses
}

// gap returns the record that announces the loss.
func (l *loss) gap(now time.Time) record.Gap {
	g := record.Gap{Header: record.Header{Time: now, Level: "warning"}, From: l.from, To: l.to, Reason: l.reason}
	switch l.reason {
	case record.Suspended:
		g.Refused = l.n
	case record.Rotated:
		g.Level = "info"
		g.First, g.Last = l.first, l.last
	case record.Cut, record.Altered, record.HeadMissing, record.FleetFull:
		g.First, g.Last = l.first, l.last
	default:
		g.Lost = l.n
	}
	return g
}
