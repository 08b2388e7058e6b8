package web

import (
	"strconv"

	"syntap/cmd/internal/format"
	"syntap/cmd/internal/recent"
	"syntap/cmd/internal/record"
	"syntap/cmd/internal/record/compact"
)

// entry is a record that the server shows: of the router itself, or of an earlier run, as its JSON
// log has it.
type entry struct {
	*recent.Entry
	compact.Item // unless it is logged
}

// open returns a record that is kept; nil for none.
func open(e *recent.Entry) *entry {
	if e == nil {
		return nil
	}
	var i compact.Item
	if e.Logged == nil {
		var err error
		if i, err = e.Item(); err != nil {
			return nil
		}
	}
	return &entry{e, i}
}

// append appends the record as a line.
func (e *entry) append(dst []byte, w *record.Writer) []byte {
	switch {
	case e.Logged != nil:
		return e.appendLogged(dst)
	case e.Handshake != nil:
		return w.Handshake(dst, e.Seq, e.Handshake)
	case e.Datagram != nil:
		return w.Datagram(dst, e.Seq, e.Datagram)
	}
	return w.Flow(dst, e.Seq, e.Flow, e.Opening)
}

// appendLogged appends a line of a log with the numbers that its record has here, and without the
// links of its chain.
func (e *entry) appendLogged(dst []byte) []byte {
	separator := byte('{')
	record.Scan(e.Logged, func(key, value []byte) {
		n := uint64(0)
		switch string(key) {
		case "prev", "hash":
			return
		case "seq":
			n = e.Seq
		case "handshake_seq", "datagram_seq":
			if n = e.Opening; n == 0 {
				return
			}
		}
		if !plainKey(key) {
			return
		}
		dst = append(append(append(dst, separator, '"'), key...), `":`...)
		separator = ','
		if n > 0 {
			dst = strconv.AppendUint(dst, n, 10)
		} else {
			dst = append(dst, value...)
		}
	})
	return append(dst, '}', '\n')
}

// plainKey reports whether a key is like those of records: it stands for itself between quotes.
func plainKey(key []byte) bool {
	for _, c := range key {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}

// viewer makes the connections of entries that filters judge. Each is valid until the next.
type viewer struct {
	live         format.Live
	decoder      format.Decoder
	opening, end format.Record
}

func newViewer(run record.Run) *viewer {
	return &viewer{live: format.Live{Run: run}, decoder: format.Decoder{Brief: true}}
}

// connection returns the connection that an opening, a flow or both are of.
func (v *viewer) connection(opening, end *entry) *format.Connection {
	c := new(format.Connection)
	if opening != nil {
		v.fill(&v.opening, opening)
		c.Opening = &v.opening
	}
	switch {
	case end != nil:
		v.fill(&v.end, end)
		c.End = &v.end
	case !v.opening.GoesOn():
	case opening.Logged != nil: // the run is over
		c.State = format.EndMissing
	default:
		c.State = format.Alive
	}
	return c
}

func (v *viewer) fill(r *format.Record, e *entry) {
	switch {
	case e.Logged != nil:
		v.decoder.Decode(e.Logged, r)
	case e.Handshake != nil:
		v.live.Handshake(r, e.Handshake)
	case e.Datagram != nil:
		v.live.Datagram(r, e.Datagram)
	default:
		v.live.Flow(r, e.Flow)
	}
}
