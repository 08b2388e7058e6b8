package web

import (
	"strconv"
	"sync/atomic"

	"syntap/cmd/internal/format"
	"syntap/cmd/internal/record"
	"syntap/tun/flow"
)

// entry is a record that the server keeps: of the router itself, or of an earlier run, as its JSON
// log has it.
type entry struct {
	of        format.Type // Handshake, Datagram or Flow
	handshake *record.Attributed
	datagram  *record.AttributedDatagram
	flow      *record.AttributedFlow
	logged    []byte     // a line of a log, without its end
	proto     flow.Proto // of a flow

	seq       uint64                // number among the records of its type, from 1
	opening   uint64                // of a flow: that of the record by which it began; 0 = unknown
	openingAt uint64                // of a flow: the number of that record among all; 0 = unknown
	end       atomic.Pointer[entry] // of an opening: its flow
}

// tcp reports whether a flow is a TCP connection, whose opening is a handshake.
func (e *entry) tcp() bool { return e.proto == flow.TCP }

// append appends the record as a line.
func (e *entry) append(dst []byte, w *record.Writer) []byte {
	switch {
	case e.logged != nil:
		return e.appendLogged(dst)
	case e.handshake != nil:
		return w.Handshake(dst, e.seq, e.handshake)
	case e.datagram != nil:
		return w.Datagram(dst, e.seq, e.datagram)
	}
	return w.Flow(dst, e.seq, e.flow, e.opening)
}

// appendLogged appends a line of a log with the numbers that its record has here, and without the
// links of its chain.
func (e *entry) appendLogged(dst []byte) []byte {
	separator := byte('{')
	record.Scan(e.logged, func(key, value []byte) {
		n := uint64(0)
		switch string(key) {
		case "prev", "hash":
			return
		case "seq":
			n = e.seq
		case "handshake_seq", "datagram_seq":
			if n = e.opening; n == 0 {
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
	case opening.logged != nil: // the run is over
		c.State = format.EndMissing
	default:
		c.State = format.Alive
	}
	return c
}

func (v *viewer) fill(r *format.Record, e *entry) {
	switch {
	case e.logged != nil:
		v.decoder.Decode(e.logged, r)
	case e.handshake != nil:
		v.live.Handshake(r, e.handshake)
	case e.datagram != nil:
		v.live.Datagram(r, e.datagram)
	default:
		v.live.Flow(r, e.flow)
	}
}
