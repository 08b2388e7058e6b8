package audit

import (
	"syntap/cmd/internal/format"
	"syntap/cmd/internal/record"
)

// eventFormat writes one event in the form of another program for each record (package format).
type eventFormat struct {
	live   format.Live
	record format.Record // scratch
	write  func(dst []byte, r *format.Record) []byte
}

func (f *eventFormat) append(dst []byte, e *Event) []byte {
	r := &f.record
	switch {
	case e.Record != nil:
		f.live.Handshake(r, e.Record)
	case e.Datagram != nil:
		f.live.Datagram(r, e.Datagram)
	case e.Flow != nil:
		f.live.Flow(r, e.Flow)
	case e.Finding != nil:
		f.live.Finding(r, e.Finding)
	case e.Gap != nil:
		f.live.Gap(r, e.Gap)
	case e.End != nil:
		f.live.End(r, e.End)
	default:
		return dst
	}
	return f.write(dst, r)
}

// zeekFormat writes one line for each connection, when it is over. It keeps those that are open.
type zeekFormat struct {
	eventFormat
	log *format.ZeekLog
}

// newZeek returns the format of a run. In a capture, for which that is the zero value, a connection
// is written at its verdict.
func newZeek(run record.Run) *zeekFormat {
	f := &zeekFormat{log: &format.ZeekLog{AtOnce: run == record.Run{}}}
	f.live.Run = run
	f.write = func(dst []byte, r *format.Record) []byte { return f.log.Append(dst, r) }
	return f
}
