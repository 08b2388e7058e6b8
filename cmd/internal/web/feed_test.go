package web

import (
	"syntap/cmd/internal/recent"
	"syntap/cmd/internal/record"
	"syntap/cmd/internal/record/compact"
)

// Feed takes the records of a router in its own process: for its figures, and for those who show
// the last ones. It never blocks. Records must not be changed any more. A nil Feed takes none.
type Feed struct {
	*Figures
	Records *recent.Writer // nil = another process keeps them
}

// Record takes a handshake.
func (f *Feed) Record(r *record.Attributed) {
	if f == nil {
		return
	}
	f.Figures.Handshake(r)
	if f.Records != nil {
		f.Records.Item(&compact.Item{Handshake: r})
	}
}

// Datagram takes the beginning of a flow without a handshake, before its end.
func (f *Feed) Datagram(d *record.AttributedDatagram) {
	if f != nil && f.Records != nil {
		f.Records.Item(&compact.Item{Datagram: d})
	}
}

// Flow takes the end of a connection or flow.
func (f *Feed) Flow(flow *record.AttributedFlow) {
	if f != nil && f.Records != nil {
		f.Records.Item(&compact.Item{Flow: flow})
	}
}
