package web

import (
	"encoding/json"
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

// appendLogged appends a line of a log with the numbers that its record has here.
func (e *entry) appendLogged(dst []byte) []byte {
	var value any
	switch e.of {
	case format.Handshake:
		var r record.Handshake
		_ = json.Unmarshal(e.logged, &r) // the members that are as expected
		r.Seq, r.Trailer = e.seq, record.Trailer{}
		value = &r
	case format.Datagram:
		var r record.Datagram
		_ = json.Unmarshal(e.logged, &r)
		r.Seq, r.Trailer = e.seq, record.Trailer{}
		value = &r
	default:
		var r record.Flow
		_ = json.Unmarshal(e.logged, &r)
		r.Seq, r.Trailer, r.HandshakeSeq, r.DatagramSeq = e.seq, record.Trailer{}, 0, 0
		if e.tcp() {
			r.HandshakeSeq = e.opening
		} else {
			r.DatagramSeq = e.opening
		}
		value = &r
	}
	line, _ := json.Marshal(value) // these types can be
	return append(append(dst, line...), '\n')
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
