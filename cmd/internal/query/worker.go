package query

import (
	"bytes"
	"iter"
	"sync"

	"syntap/cmd/internal/format"
	"syntap/cmd/internal/record"
	"syntap/cmd/internal/terminal"
)

// result is the yield of one block.
type result struct {
	text   [][]byte // of records
	events []event  // where records are joined
	bad    bad
	old    int // records printed in modern notation, as they have no segments
	gaps   gaps
}

// event is a record on its way to be joined; or the news that the next records are of another run,
// or that an opening is not wanted, and neither is its flow.
type event struct {
	record   *format.Record
	text     []byte // of the record, where records are printed
	run      string // without a record
	unwanted *link  // of the opening; nil = it is wanted
}

// records are records to use again.
var records = sync.Pool{New: func() any { return new(format.Record) }}

// worker searches blocks.
type worker struct {
	query   *Query
	printer printer
	decoder format.Decoder
	line    record.Line
	record  *format.Record // scratch
	text    []byte         // of the block
	begun   bool           // there was a record in the block
	run     string         // of the last one
}

func newWorker(q *Query) *worker {
	w := &worker{query: q, printer: newPrinter(q), record: records.Get().(*format.Record)}
	w.decoder.Brief = q.Format != Zeek && q.Format != OCSF && q.Format != ECS
	return w
}

// search goes through a block.
func (w *worker) search(lines lineRun) (r result) {
	take := w.print
	if w.query.joins() {
		take = w.join
	}
	if w.query.prints() {
		w.text = make([]byte, 0, len(lines.lines))
	}
	w.begun = false
	for number, line := range nonEmpty(lines) {
		if form := take(&r, line); form == record.None && len(bytes.TrimSpace(line)) > 0 {
			r.bad.add([]int{number}, 1)
		}
	}
	if len(w.text) > 0 {
		r.add(w.text)
		w.text = nil // it is the result's
	}
	return r
}

// nonEmpty returns the lines with a byte before their end, with their numbers. A few bytes of a
// compressed file may stand for a million of the others.
func nonEmpty(lines lineRun) iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		number := lines.first
		for rest := lines.lines; len(rest) > 0; number++ {
			end := bytes.IndexByte(rest, '\n') + 1
			if end == 0 {
				end = len(rest)
			}
			if rest[0] != '\n' && !yield(number, rest[:end]) {
				return
			}
			rest = rest[end:]
		}
	}
}

// prints reports whether the output is text of each record other than the record itself.
func (q *Query) prints() bool { return !q.joins() && q.Format != JSON }

// decodes reports whether records are decoded.
func (q *Query) decodes() bool {
	return q.joins() || !q.Filter.All() || q.Only != nil || q.Format == OCSF || q.Format == ECS
}

// tcpdump reports whether the output is in a notation of tcpdump, which has none for gaps.
func (q *Query) tcpdump() bool { return q.Format == Classic || q.Format == Modern }

// print prints a record that is wanted by itself.
func (w *worker) print(res *result, line []byte) (form record.Form) {
	q, whole := w.query, line[:len(line)-1]
	form = record.Plain
	if q.tcpdump() || !q.decodes() {
		form = w.line.Scan(whole)
	}
	gap := q.tcpdump() && string(w.line.Get(record.Msg)) == "gap"
	if form != record.None && (q.decodes() || gap) {
		form = w.decoder.Decode(whole, w.record)
	}
	switch {
	case form == record.None:
	case gap:
		res.addGap(q.gap(w.record))
	case !w.matches():
	case q.Format == JSON:
		res.add(jsonOf(line, form))
	default:
		var asked bool
		if w.text, asked = w.printer.record(w.text, w); !asked {
			res.old++
		}
	}
	return form
}

// matches reports whether a record is wanted by itself: its time counts, and of a flow that of its
// end.
func (w *worker) matches() bool {
	f, r := &w.query.Filter, w.record
	if f.All() && w.query.Only == nil {
		return true
	}
	if r.Time.Before(f.Since) || !f.Until.IsZero() && !r.Time.Before(f.Until) {
		return false
	}
	if f.OnlyTimes() && w.query.Only == nil {
		return true
	}
	c := format.Connection{Opening: r}
	switch r.Type {
	case format.Handshake, format.Datagram:
	case format.Finding:
		if w.query.Only != nil { // it is no connection
			return false
		}
	case format.Flow:
		c = format.Connection{End: r}
	default:
		return false
	}
	return f.MatchMembers(&c) && (w.query.Only == nil || w.query.Only(&c))
}

// join hands a record on to be joined, unless its connection is not wanted.
func (w *worker) join(res *result, line []byte) record.Form {
	form, r := w.decoder.Decode(line[:len(line)-1], w.record), w.record
	if form == record.None {
		return form
	}
	if !w.begun || r.RunID != w.run {
		w.begun, w.run = true, r.RunID
		res.events = append(res.events, event{run: r.RunID})
	}
	switch r.Type {
	case format.Handshake, format.Datagram:
		c := format.Connection{Opening: r}
		if r.GoesOn() {
			c.State = format.Alive
		}
		if !w.query.Filter.MayMatch(&c) {
			if c.State == format.Alive {
				l := linkOf(r)
				res.events = append(res.events, event{unwanted: &l})
			}
			return form
		}
	case format.Gap:
		res.addGap(w.query.gap(r))
		return form
	case format.Finding:
		if !w.query.findings() || !w.query.Filter.MayMatch(&format.Connection{Opening: r}) {
			return form
		}
	case format.Flow, format.End:
	default:
		return form
	}
	e := event{record: r}
	if !w.query.Format.joins() && w.query.Top == nil {
		e.text = w.textOf(line, form)
	}
	res.events = append(res.events, e)
	w.record = records.Get().(*format.Record)
	return form
}

// textOf returns the text of a record whose connection is printed by it.
func (w *worker) textOf(line []byte, form record.Form) []byte {
	if w.query.Format == JSON {
		return bytes.Clone(jsonOf(line, form))
	}
	w.line.Scan(line[:len(line)-1])
	text, _ := w.printer.record(nil, w)
	return text
}

// jsonOf returns a record as it is printed.
func jsonOf(line []byte, form record.Form) []byte {
	if form == record.Foreign {
		return terminal.CleanJSON(line)
	}
	return line
}

func (r *result) addGap(g *record.Gap) {
	if g != nil {
		r.gaps = append(r.gaps, g)
	}
}

// add appends text. Text that stands right behind the last one in memory extends it.
func (r *result) add(text []byte) {
	if n := len(r.text); n > 0 {
		last := r.text[n-1]
		if end := len(last) + len(text); end <= cap(last) && &last[:end][len(last)] == &text[0] {
			r.text[n-1] = last[:end]
			return
		}
	}
	r.text = append(r.text, text)
}
