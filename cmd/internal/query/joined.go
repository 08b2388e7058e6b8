package query

import (
	"slices"

	"syntap/cmd/internal/format"
)

// joined prints connections, their likes that were not there before, or their counts.
type joined struct {
	joiner
	query   *Query
	files   []string
	w       *lastLines
	printer printer
	header  string // not printed yet
	counts  *counts
	fresh   *fresh
	text    []byte // scratch
}

// usualLine is the room that a connection's line takes, as a rule.
const usualLine = 256

func newJoined(q *Query, files []string, again *once, w *lastLines) *joined {
	o := &joined{joiner: newJoiner(), query: q, files: files, w: w, printer: newPrinter(q)}
	o.again = again
	if q.Top != nil {
		o.counts = newCounts(q)
	} else if q.Format == CSV {
		o.header = format.CSVHeader()
	}
	switch {
	case q.compared != nil:
		o.fresh, o.over = q.compared, o.compare
	case !q.NewSince.IsZero():
		o.fresh = newFresh(q.NewSince)
		o.over = o.compare
	case o.counts != nil:
		o.over = func(e *entry) { o.count(&e.Connection) }
	default:
		o.ordered = true
		o.over = func(e *entry) {
			if o.wanted(&e.Connection) {
				e.text = o.printer.connection(make([]byte, 0, usualLine), &e.Connection)
			}
		}
		o.print = func(e *entry) error {
			_, err := o.w.Write(e.text)
			return err
		}
	}
	return o
}

func (o *joined) wanted(c *format.Connection) bool {
	return o.query.Filter.Match(c) && (o.query.Only == nil || o.query.Only(c))
}

func (o *joined) count(c *format.Connection) {
	if o.wanted(c) {
		o.counts.add(c)
	}
}

// compare is over where connections are compared with earlier ones.
func (o *joined) compare(e *entry) {
	if !o.wanted(&e.Connection) {
		return
	}
	like := o.fresh.take(&e.Connection)
	switch {
	case like == nil:
	case o.counts != nil:
		o.counts.addTo(&like.counts, &e.Connection)
	case like.isFirst(e.Start()):
		like.text = e.record
		if o.query.Format.joins() {
			like.text = o.printer.connection(nil, &e.Connection)
		}
	}
}

func (o *joined) take(run *lineRun, r *result) error {
	if err := o.begin(); err != nil {
		return err
	}
	o.joiner.take(slices.Index(o.files, run.file), run.log, r.events)
	return o.err
}

// begin prints the header, however few connections follow.
func (o *joined) begin() error {
	header := o.header
	o.header = ""
	if header == "" {
		return nil
	}
	_, err := o.w.w.Write([]byte(header))
	return err
}

func (o *joined) finish() error {
	if err := o.begin(); err != nil {
		return err
	}
	o.end()
	if o.err != nil {
		return o.err
	}
	if o.fresh != nil {
		if err := o.fresh.finish(o.w, o.counts); err != nil {
			return err
		}
	}
	if o.counts != nil {
		return o.counts.print(o.w.w)
	}
	return o.w.flush()
}

// follow prints connections when they begin and when they are over, in the order in which that
// comes.
func (o *joined) follow() {
	o.ordered, o.live = false, true
	o.over = func(e *entry) {
		if o.err == nil && o.wanted(&e.Connection) {
			o.text = o.printer.connection(o.text[:0], &e.Connection)
			_, o.err = o.w.Write(o.text)
		}
	}
}
