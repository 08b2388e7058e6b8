package query

import (
	"bytes"
	"io"

	"syntap/cmd/internal/format"
)

// output takes the results of blocks in the order of the log. Its errors are those of writing.
type output interface {
	take(run *lineRun, r *result) error
	finish() error // after the last one
	follow()       // results follow all the same
}

func newOutput(q *Query, files []string, again *once, w io.Writer) output {
	lines := &lastLines{w: w, most: q.Last}
	if q.Top != nil {
		lines.most = 0 // of the values, not of the lines of records
	}
	if !q.joins() {
		return &unjoined{lines}
	}
	return newJoined(q, files, again, lines)
}

// unjoined prints each record.
type unjoined struct{ *lastLines }

func (u *unjoined) take(_ *lineRun, r *result) error {
	for _, text := range r.text {
		if _, err := u.Write(text); err != nil {
			return err
		}
	}
	return nil
}

func (u *unjoined) finish() error { return u.flush() }
func (u *unjoined) follow()       {}

// printer prints connections and records. It is for one goroutine at a time.
type printer struct {
	format Format
	line   format.Line
	csv    format.CSV
	zeek   format.Zeek
	ocsf   format.OCSF
	ecs    format.ECS
}

func newPrinter(q *Query) printer {
	return printer{format: q.Format, line: format.Line{Routers: q.Routers}}
}

// connection appends a connection.
func (p *printer) connection(dst []byte, c *format.Connection) []byte {
	switch p.format {
	case CSV:
		return p.csv.Append(dst, c)
	case Zeek:
		return p.zeek.Append(dst, c)
	default:
		return p.line.Append(dst, c)
	}
}

// record appends the record that w has decoded, or for the notations of tcpdump scanned. asked is
// false where it is not in the notation that the query asks for.
func (p *printer) record(dst []byte, w *worker) (text []byte, asked bool) {
	switch p.format {
	case OCSF:
		return p.ocsf.Append(dst, w.record), true
	case ECS:
		return p.ecs.Append(dst, w.record), true
	default:
		return appendText(dst, &w.line, p.format)
	}
}

// lastLines passes on the lines written to it, or if most is not 0, that many last ones of them in
// flush.
type lastLines struct {
	w    io.Writer
	most int

	ring [][]byte
	next int    // in the ring
	rest []byte // of a line
}

func (l *lastLines) Write(b []byte) (int, error) {
	if l.most == 0 {
		return l.w.Write(b)
	}
	n := len(b)
	for {
		line, rest, whole := bytes.Cut(b, []byte("\n"))
		l.rest = append(l.rest, line...)
		if !whole {
			return n, nil
		}
		l.keep(append(l.rest, '\n'))
		l.rest, b = l.rest[:0], rest
	}
}

func (l *lastLines) keep(line []byte) {
	if len(l.ring) < l.most {
		l.ring = append(l.ring, bytes.Clone(line))
		return
	}
	l.ring[l.next] = append(l.ring[l.next][:0], line...)
	l.next = (l.next + 1) % l.most
}

// flush prints the last lines. Everything after it is passed on.
func (l *lastLines) flush() error {
	lines := append(l.ring[l.next:len(l.ring):len(l.ring)], l.ring[:l.next]...)
	l.most, l.ring, l.next = 0, nil, 0
	for _, line := range append(lines, l.rest) {
		if len(line) == 0 {
			continue
		}
		if _, err := l.w.Write(line); err != nil {
			return err
		}
	}
	l.rest = nil
	return nil
}
