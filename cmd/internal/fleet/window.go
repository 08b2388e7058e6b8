package fleet

import (
	"slices"
	"time"
)

// span is records that follow each other, which a store has been sent and has not been proven to
// have.
type span struct {
	first, last uint64    // seq
	begin, end  time.Time // the least and the greatest time of its records
	hash        string    // of the line of the last

	sent    time.Time
	stalled time.Duration // total of the store's stalls until then
	rounds  int           // after which it had not all of them
	proven  bool
}

// window is the records of a log that are sent and not confirmed, by their numbers.
type window []span

// joined is how long spans that follow each other are kept as one.
const joined = time.Second

// add takes records that were sent now, behind all others.
func (w *window) add(s span) {
	if last := len(*w) - 1; last >= 0 {
		l := &(*w)[last]
		if l.rounds == 0 && l.proven == s.proven && l.last+1 == s.first && s.sent.Sub(l.sent) < joined {
			l.last, l.hash = s.last, s.hash
			l.extend(s.begin)
			l.extend(s.end)
			return // as old as its first part: the proof waits for longer than a second
		}
	}
	*w = append(*w, s)
}

// extend takes the time of a record.
func (s *span) extend(t time.Time) {
	if s.begin.IsZero() || t.Before(s.begin) {
		s.begin = t
	}
	if t.After(s.end) {
		s.end = t
	}
}

// due returns the first spans that are to be proven at a time, with no more records than most
// unless the first has, and reports whether others are due too.
func (w window) due(now time.Time, after func(*span) time.Duration, most uint64) (due window, more bool) {
	for i := range w {
		s := &w[i]
		if !s.proven && now.Sub(s.sent) < after(s) {
			return w[:i], false
		}
		if i > 0 && s.last-w[0].first >= most {
			return w[:i], true
		}
	}
	return w, false
}

// confirm takes the proven spans at the beginning off, and returns the last of them.
func (w *window) confirm() (last span, ok bool) {
	n := 0
	for n < len(*w) && (*w)[n].proven {
		last, ok = (*w)[n], true
		n++
	}
	*w = slices.Delete(*w, 0, n)
	return last, ok
}

// missing returns the runs of numbers from first to last that are in none of runs, which are
// ordered.
func missing(runs []Run, first, last uint64) (all []Run) {
	for _, r := range runs {
		if r.Last < first {
			continue
		}
		if r.First > last {
			break
		}
		if r.First > first {
			all = append(all, Run{First: first, Last: r.First - 1})
		}
		first = r.Last + 1
	}
	if first <= last {
		all = append(all, Run{First: first, Last: last})
	}
	return all
}

// count returns the number of records in runs.
func count(runs []Run) (n uint64) {
	for _, r := range runs {
		n += r.Last - r.First + 1
	}
	return n
}
