package query

import (
	"fmt"
	"time"

	"syntap/cmd/internal/format"
	"syntap/cmd/internal/record"
	"syntap/cmd/internal/terminal"
)

// gaps are places where records are missing that the output does not show.
type gaps []*record.Gap

// maxGaps is the largest number of them that are reported one by one.
const maxGaps = 10

// gap returns a gap in the times of the query; nil where there is none, and where the records are
// gone in order.
func (q *Query) gap(r *format.Record) *record.Gap {
	g, f := r.Gap, &q.Filter
	if g == nil || g.Level == "info" || g.To.Before(f.Since) || !f.Until.IsZero() && g.From.After(f.Until) {
		return nil
	}
	return g
}

// tell reports which records are missing, and of which host if there are several.
func (g gaps) tell(q *Query) {
	if q.Notice == nil {
		return
	}
	for _, gap := range g[:min(len(g), maxGaps)] {
		text := fmt.Sprintf("records are missing from %s to %s (%s)",
			clock(gap.From), clock(gap.To), terminal.Clean(string(gap.Reason)))
		if q.hosts {
			text = terminal.Clean(gap.Host) + ": " + text
		}
		switch {
		case gap.Lost > 0:
			text += fmt.Sprintf(": %d lost", gap.Lost)
		case gap.Refused > 0:
			text += fmt.Sprintf(": %d attempts were kept out", gap.Refused)
		case gap.Last > 0:
			text += fmt.Sprintf(": seq %d to %d", gap.First, gap.Last)
		}
		q.Notice(text)
	}
	if more := len(g) - maxGaps; more > 0 {
		q.Notice(fmt.Sprintf("records are missing in %d more places; --json prints them", more))
	}
}

func clock(t time.Time) string { return t.Local().Format(time.DateTime) }
